#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "engine.h"
#include "float_layer.h"
#include "float_loss.h"
#include "float_scalar.h"

/* Either the slow twin, or layers with the kernels of a path. */
struct fj_float_engine {
    fj_float_scalar *slow;
    const fj_float_kernels *kernels;
    fj_pool *pool;
    int layers, threads;
    float *logits;
    float **scratch;
    fj_float_layer layer[FJ_MOST_LAYERS];
};

static const fj_float_kernels *kernels_of(fj_path path) {
#if defined(FJ_X86)
    if (path == FJ_AVX512 || path == FJ_VNNI) return &fj_float_avx512;
    if (path == FJ_AVX2) return &fj_float_avx2;
#elif defined(__aarch64__) || defined(__ARM_NEON) || defined(__arm__)
    if (path == FJ_NEON || path == FJ_DOTPROD || path == FJ_I8MM) return &fj_float_neon;
#endif
    return NULL;
}

static int make_fast(fj_float_engine *engine, const fj_model *model, int batch, int bias) {
    static int32_t start = 0;
    size_t room = 0;
    for (int i = 0; i < model->layers; i++) {
        fj_float_layer *at = &engine->layer[i], *below = i ? at - 1 : NULL;
        engine->layers = i + 1;
        if (fj_float_layer_make(at, &model->layer[i], engine->kernels, batch, bias, engine->threads, below)) return -1;
        size_t wanted = fj_float_layer_scratch(at);
        room = wanted > room ? wanted : room;
    }
    fj_float_layer *last = &engine->layer[engine->layers - 1];
    engine->logits = fj_float_array((size_t)batch * (size_t)model->classes);
    last->out = (fj_field){engine->logits, (size_t)model->classes, &start};
    engine->scratch = calloc((size_t)engine->threads, sizeof *engine->scratch);
    if (!engine->logits || !engine->scratch) return -1;
    for (int i = 0; i < engine->threads; i++) {
        if (!(engine->scratch[i] = fj_float_array(room))) return -1;
    }
    for (fj_float_layer *at = engine->layer; at <= last; at++) at->scratch = engine->scratch;
    return 0;
}

fj_float_engine *fj_float_new(const fj_model *model, int batch, fj_path path, fj_pool *pool, int bias) {
    fj_float_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return NULL;
    engine->pool = pool, engine->threads = fj_pool_threads(pool), engine->kernels = kernels_of(path);
    if (engine->kernels ? make_fast(engine, model, batch, bias) == 0
                        : (engine->slow = fj_scalar_new(model, batch, bias)) != NULL)
        return engine;
    fj_float_free(engine);
    return NULL;
}

void fj_float_free(fj_float_engine *engine) {
    if (!engine) return;
    fj_scalar_free(engine->slow);
    for (int i = 0; i < engine->layers; i++) fj_float_layer_free(&engine->layer[i]);
    for (int i = 0; engine->scratch && i < engine->threads; i++) free(engine->scratch[i]);
    free(engine->scratch);
    free(engine->logits);
    free(engine);
}

void fj_float_set(fj_float_engine *engine, int layer, const float *weights) {
    if (engine->slow) fj_scalar_set(engine->slow, layer, weights);
    else fj_float_layer_set(&engine->layer[layer], weights);
}

void fj_float_get(const fj_float_engine *engine, int layer, float *weights) {
    if (engine->slow) fj_scalar_get(engine->slow, layer, weights);
    else fj_float_layer_get(&engine->layer[layer], weights);
}

int fj_float_finite(const fj_float_engine *engine) {
    if (engine->slow) return fj_scalar_finite(engine->slow);
    for (int i = 0; i < engine->layers; i++)
        if (!fj_float_layer_finite(&engine->layer[i])) return 0;
    return 1;
}

int fj_float_regions(fj_float_engine *engine, int layer, fj_region *regions) {
    if (engine->slow) return fj_scalar_regions(engine->slow, layer, regions);
    return fj_float_layer_regions(&engine->layer[layer], regions);
}

/* Into the padded rows of the first layer. */
static void take_input(const fj_float_layer *first, const float *input, int batch) {
    int h = first->shape.in_h, w = first->shape.in_w;
    size_t row = (size_t)(w * first->shape.in_c);
    for (int n = 0; n < batch; n++) {
        float *to = first->inner.data + (size_t)n * first->inner.image;
        for (int y = 0; y < h; y++, input += row) memcpy(to + first->inner.at[y * w], input, row * sizeof *input);
    }
}

static void forward(fj_float_engine *engine, fj_float_layer *at) {
    const fj_float_kernels *kernels = engine->kernels;
    if (at->winograd) fj_pool_run(engine->pool, kernels->winograd_weights, at, fj_blocks(at->channels, at->width));
    if (at->winograd) fj_pool_run(engine->pool, kernels->winograd_forward, at, at->batch);
    else if (at->plane) fj_pool_run(engine->pool, kernels->plane_forward, at, at->batch);
    else if (at->shape.kind == FJ_CONV)
        fj_pool_run(engine->pool, at->sparse ? kernels->winners_forward : kernels->conv_forward, at,
                    fj_blocks(at->channels, at->width) * at->chunks);
    else fj_pool_run(engine->pool, kernels->full_forward, at, fj_blocks(at->shape.out_c, FJ_FULL_TASK));
}

/* The error of the layer below; a fully connected layer learns in the same pass. */
static void back(fj_float_engine *engine, fj_float_layer *at) {
    const fj_float_kernels *kernels = engine->kernels;
    if (at->shape.kind == FJ_FC) {
        fj_pool_run(engine->pool, kernels->full_order, at, 1);
        fj_pool_run(engine->pool, kernels->full_backward, at, fj_blocks((int)at->row, (int)at->columns));
        if (at->below && at->below->shape.kind == FJ_CONV) fj_pool_run(engine->pool, kernels->spread, at, at->batch);
    } else if (at->sparse && at->below) {
        fj_pool_run(engine->pool, kernels->winners_error, at, at->batch);
    } else if (at->below) {
        int blocks = fj_blocks(at->below->channels, at->back_width);
        fj_pool_run(engine->pool, kernels->conv_error, at, blocks * at->back_chunks);
    }
}

static void learn(fj_float_engine *engine, fj_float_layer *at) {
    if (at->shape.kind == FJ_FC) return;
    const fj_float_kernels *kernels = engine->kernels;
    fj_task follow = at->plane ? kernels->plane_gradient : kernels->winners_gradient;
    if (at->sparse) fj_pool_run(engine->pool, follow, at, fj_blocks(at->channels, at->group));
    else fj_pool_run(engine->pool, kernels->conv_gradient, at, fj_blocks(at->channels, at->width) * at->chunks);
}

const float *fj_float_forward(fj_float_engine *engine, const float *input, int batch) {
    if (engine->slow) return fj_scalar_forward(engine->slow, input, batch);
    take_input(engine->layer, input, batch);
    for (int i = 0; i < engine->layers; i++) {
        engine->layer[i].batch = batch;
        forward(engine, &engine->layer[i]);
    }
    return engine->logits;
}

int fj_float_train(
    fj_float_engine *engine, const float *input, const int32_t *labels, int batch, float learning_rate, float *loss) {
    if (engine->slow) return fj_scalar_train(engine->slow, input, labels, batch, learning_rate, loss);
    fj_float_layer *last = &engine->layer[engine->layers - 1];
    fj_float_forward(engine, input, batch);
    int right = fj_float_loss(engine->logits, labels, batch, last->shape.out_c, last->out.image, last->error.data,
                              last->error.image, loss);
    for (fj_float_layer *at = last; at >= engine->layer; at--) {
        at->rate = learning_rate;
        back(engine, at);
        learn(engine, at);
    }
    return right;
}

int fj_float_judge(fj_float_engine *engine, const float *input, const int32_t *labels, int batch, float *loss) {
    if (engine->slow) return fj_scalar_judge(engine->slow, input, labels, batch, loss);
    fj_float_layer *last = &engine->layer[engine->layers - 1];
    fj_float_forward(engine, input, batch);
    return fj_float_loss(engine->logits, labels, batch, last->shape.out_c, last->out.image, last->error.data,
                         last->error.image, loss);
}
