/* The slow twin of the FP32 engine: plain loops, one thread. The fast one must come close to it. */
#ifndef FJ_FLOAT_SCALAR_H
#define FJ_FLOAT_SCALAR_H

#include "engine.h"

typedef struct fj_float_scalar fj_float_scalar;

fj_float_scalar *fj_scalar_new(const fj_model *model, int batch, int bias);
void fj_scalar_free(fj_float_scalar *engine);
void fj_scalar_set(fj_float_scalar *engine, int layer, const float *weights);
void fj_scalar_get(const fj_float_scalar *engine, int layer, float *weights);
int fj_scalar_regions(fj_float_scalar *engine, int layer, fj_region *regions);
const float *fj_scalar_forward(fj_float_scalar *engine, const float *input, int batch);
int fj_scalar_finite(const fj_float_scalar *engine);
int fj_scalar_judge(fj_float_scalar *engine, const float *input, const int32_t *labels, int batch, float *loss);
int fj_scalar_train(fj_float_scalar *engine, const float *input, const int32_t *labels, int batch, float learning_rate,
                    float *loss);

#endif
