/* What the two engines, FP32 and INT8, offer to network.c. Each owns its memory and layout. */
#ifndef FJ_ENGINE_H
#define FJ_ENGINE_H

#include "model.h"
#include "threads.h"

/* A piece of memory that belongs to a layer's weights. */
typedef struct {
    void *at;
    size_t bytes;
} fj_region;
#define FJ_MOST_REGIONS 4

typedef struct fj_float_engine fj_float_engine;
typedef struct fj_int8_engine fj_int8_engine;

/* NULL when memory is short. Weights begin as zeros; `batch` is the largest that will come. */
fj_float_engine *fj_float_new(const fj_model *model, int batch, fj_path path, fj_pool *pool, int bias);
void fj_float_free(fj_float_engine *engine);
void fj_float_set(fj_float_engine *engine, int layer, const float *weights);
void fj_float_get(const fj_float_engine *engine, int layer, float *weights);
int fj_float_finite(const fj_float_engine *engine); /* whether all weights and biases are */
/* Every piece in which a layer's weights lie, in the engine's own order; returns how many. */
int fj_float_regions(fj_float_engine *engine, int layer, fj_region *regions);
/* Logits stay the engine's own, [batch, classes]. */
const float *fj_float_forward(fj_float_engine *engine, const float *input, int batch);
/* Forward, mean cross-entropy, backward, SGD. Returns how many were right; the mean loss if `loss` is not NULL. */
int fj_float_train(
    fj_float_engine *engine, const float *input, const int32_t *labels, int batch, float learning_rate, float *loss);

/* Forward, and what fj_float_train would say of it. */
int fj_float_judge(fj_float_engine *engine, const float *input, const int32_t *labels, int batch, float *loss);

fj_int8_engine *fj_int8_new(const fj_model *model, int batch, fj_path path, fj_pool *pool);
void fj_int8_free(fj_int8_engine *engine);
void fj_int8_set(fj_int8_engine *engine, int layer, const int8_t *mantissas, int exponent);
int fj_int8_regions(fj_int8_engine *engine, int layer, fj_region *regions);
int fj_int8_get(const fj_int8_engine *engine, int layer, int8_t *mantissas);
const int8_t *fj_int8_forward(
    fj_int8_engine *engine, const int8_t *input, int exponent, int batch, const fj_step *step, int *logits_exponent);
int fj_int8_train(fj_int8_engine *engine, const int8_t *input, int exponent, const int32_t *labels, int batch,
                  const fj_step *step, float *loss);
int fj_int8_judge(fj_int8_engine *engine, const int8_t *input, int exponent, const int32_t *labels, int batch,
                  const fj_step *step, float *loss);
int64_t fj_int8_saturated(const fj_int8_engine *engine); /* weights at +-127 */
void fj_int8_gradient(const fj_int8_engine *engine, int layer, int32_t *gradient);
fj_shifts fj_int8_shifts(const fj_int8_engine *engine, int layer);
void fj_int8_loss_gradient(const fj_int8_engine *engine, int batch, int8_t *gradient);
int fj_int8_quantize(const float *x, size_t count, int8_t *mantissas, fj_path path);

#endif
