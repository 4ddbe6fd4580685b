/* Between two layers: sums become mantissas, forward through ReLU and pool, and back. */
#include "int8_engine.h"

typedef struct {
    fj_int8_engine *engine;
    int layer;
    const fj_int8_rounding *how;
} Pass;

static uint8_t *pixel_of(const fj_int8_grid *grid, size_t image, size_t y, size_t x) {
    size_t border = (size_t)grid->border;
    return grid->at + image * grid->image + (y + border) * grid->line + (x + border) * grid->pixel;
}

/* A row of pixels, `stride` apart, into a tensor. */
static void put_row(const fj_int8_kernels *kernels, const int8_t *from, size_t stride, size_t pixels, size_t channels,
                    uint8_t flip, uint8_t *to, size_t to_stride) {
    if (stride == channels && to_stride == channels) {
        kernels->put(from, pixels * channels, flip, to);
        return;
    }
    for (size_t x = 0; x < pixels; x++) kernels->put(from + x * stride, channels, flip, to + x * to_stride);
}

static void activate_image(void *context, int task, int thread) {
    const Pass *of = context;
    fj_int8_engine *engine = of->engine;
    const fj_int8_kernels *kernels = engine->kernels;
    const fj_int8_layer *layer = &engine->layer[of->layer];
    int8_t *const *line = engine->scratch[thread].line;
    size_t image = (size_t)task, stride = layer->columns, channels = (size_t)layer->outputs;
    size_t h = (size_t)layer->h, w = (size_t)layer->w, out_h = (size_t)layer->out_h, out_w = (size_t)layer->out_w;
    for (size_t y = 0; y < out_h; y++) {
        const int8_t *done = line[0];
        for (size_t i = 0; i < (layer->pool ? 2 : 1); i++) {
            size_t first = (image * h + (layer->pool ? 2 * y : y) + i) * w;
            kernels->rescale(engine->sums + first * stride, layer->pool ? 2 * out_w : w, stride, channels, layer->relu,
                             of->how, first * channels, line[i]);
        }
        if (layer->pool) {
            kernels->pool(line[0], line[1], out_w, stride, line[2], layer->winner + (image * out_h + y) * out_w * stride);
            done = line[2];
        }
        if (of->layer == engine->layers - 1) {
            put_row(kernels, done, stride, out_w, channels, 0, (uint8_t *)engine->logits + image * channels, channels);
            continue;
        }
        const fj_int8_grid *to = &engine->layer[of->layer + 1].input;
        put_row(kernels, done, stride, out_w, channels, kernels->bias, pixel_of(to, image, y, 0), to->pixel);
    }
}

void fj_int8_activate(fj_int8_engine *engine, int layer, int batch, const fj_int8_rounding *how) {
    Pass pass = {engine, layer, how};
    fj_pool_run(engine->pool, activate_image, &pass, batch);
}

/* One row of errors of a layer's pooled output to the four places of each window. */
static void unpool_row(const fj_int8_kernels *kernels, const fj_int8_layer *layer, const int8_t *errors, size_t stride,
                       size_t image, size_t y) {
    const fj_int8_grid *to = &layer->error;
    size_t out_w = (size_t)layer->out_w;
    const uint8_t *winner = layer->winner + (image * (size_t)layer->out_h + y) * out_w * layer->columns;
    for (size_t x = 0; x < out_w; x++) {
        uint8_t *upper = pixel_of(to, image, 2 * y, 2 * x), *lower = upper + to->line;
        uint8_t *const window[4] = {upper, upper + to->pixel, lower, lower + to->pixel};
        kernels->unpool(errors + x * stride, winner + x * layer->columns, (size_t)layer->outputs, window);
    }
}

static void pass_back_image(void *context, int task, int thread) {
    const Pass *of = context;
    fj_int8_engine *engine = of->engine;
    const fj_int8_kernels *kernels = engine->kernels;
    const fj_int8_layer *from = &engine->layer[of->layer], *layer = from - 1;
    int8_t *errors = engine->scratch[thread].line[0];
    size_t image = (size_t)task, h = (size_t)layer->out_h, w = (size_t)layer->out_w, channels = (size_t)layer->outputs;
    size_t stride = from->is_fc ? channels : from->in_columns;
    const int32_t *sums = engine->sums + image * (from->is_fc ? from->in_columns : h * w * stride);
    for (size_t y = 0; y < h; y++, sums += w * stride) {
        const uint8_t *active = pixel_of(&from->input, image, y, 0);
        kernels->rescale(sums, w, stride, channels, 0, of->how, (image * h + y) * w * channels, errors);
        if (stride == channels) kernels->mask(active, w * channels, errors);
        else
            for (size_t x = 0; x < w; x++) kernels->mask(active + x * channels, channels, errors + x * stride);
        if (layer->pool) unpool_row(kernels, layer, errors, stride, image, y);
        else
            put_row(kernels, errors, stride, w, channels, kernels->bias, pixel_of(&layer->error, image, y, 0),
                    layer->error.pixel);
    }
}

void fj_int8_pass_back(fj_int8_engine *engine, int layer, int batch, const fj_int8_rounding *how) {
    Pass pass = {engine, layer, how};
    fj_pool_run(engine->pool, pass_back_image, &pass, batch);
}

void fj_int8_take_input(fj_int8_engine *engine, const int8_t *input, int batch) {
    const fj_int8_layer *layer = &engine->layer[0];
    const fj_int8_grid *to = &layer->input;
    size_t h = (size_t)layer->in_h, bytes = (size_t)layer->in_w * (size_t)layer->inputs;
    for (size_t image = 0; image < (size_t)batch; image++)
        for (size_t y = 0; y < h; y++, input += bytes)
            engine->kernels->put(input, bytes, engine->kernels->bias, pixel_of(to, image, y, 0));
}

void fj_int8_take_error(fj_int8_engine *engine, const int8_t *errors, int batch) {
    const fj_int8_layer *layer = &engine->layer[engine->layers - 1];
    for (size_t image = 0; image < (size_t)batch; image++, errors += layer->outputs)
        engine->kernels->put(errors, (size_t)layer->outputs, engine->kernels->bias, pixel_of(&layer->error, image, 0, 0));
}
