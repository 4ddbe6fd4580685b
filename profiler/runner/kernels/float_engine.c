#include <stdlib.h>

#include "engine.h"
#include "float_scalar.h"

struct fj_float_engine {
    fj_float_scalar *slow;
};

fj_float_engine *fj_float_new(const fj_model *model, int batch, fj_path path, fj_pool *pool, int bias) {
    (void)path, (void)pool;
    fj_float_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return NULL;
    engine->slow = fj_scalar_new(model, batch, bias);
    if (engine->slow) return engine;
    fj_float_free(engine);
    return NULL;
}

void fj_float_free(fj_float_engine *engine) {
    if (!engine) return;
    fj_scalar_free(engine->slow);
    free(engine);
}

void fj_float_set(fj_float_engine *engine, int layer, const float *weights) {
    fj_scalar_set(engine->slow, layer, weights);
}

void fj_float_get(const fj_float_engine *engine, int layer, float *weights) {
    fj_scalar_get(engine->slow, layer, weights);
}

const float *fj_float_forward(fj_float_engine *engine, const float *input, int batch) {
    return fj_scalar_forward(engine->slow, input, batch);
}

int fj_float_train(
    fj_float_engine *engine, const float *input, const int32_t *labels, int batch, float learning_rate, float *loss) {
    return fj_scalar_train(engine->slow, input, labels, batch, learning_rate, loss);
}
