/* Between two layers: sums become mantissas, forward through ReLU and pool, and back. */
#include "int8_engine.h"

typedef struct {
    fj_int8_engine *engine;
    int layer;
    fj_int8_rounding how;
} Pass;

static void activate_image(void *context, int task, int thread) {
    const Pass *of = context;
    fj_int8_engine *engine = of->engine;
    const fj_int8_layer *layer = &engine->layer[of->layer];
    const fj_int8_kernels *kernels = layer->kernels;
    int8_t *const *line = engine->scratch[thread].line;
    size_t image = (size_t)task, stride = layer->columns, channels = (size_t)layer->outputs;
    size_t h = (size_t)layer->h, w = (size_t)layer->w, out_h = (size_t)layer->out_h, out_w = (size_t)layer->out_w;
    for (size_t y = 0; y < out_h; y++) {
        const int8_t *done = line[0];
        for (size_t i = 0; i < (layer->pool ? 2 : 1); i++) {
            size_t first = (image * h + (layer->pool ? 2 * y : y) + i) * w;
            fj_int8_rounding how = of->how;
            how.place = (uint32_t)(first * channels);
            kernels->rescale(engine->sums + first * stride, layer->pool ? 2 * out_w : w, stride, channels, layer->relu,
                             &how, line[i]);
        }
        if (layer->pool) {
            kernels->pool(line[0], line[1], out_w, stride, line[2],
                          layer->winner + (image * out_h + y) * out_w * stride);
            done = line[2];
        }
        if (of->layer == engine->layers - 1) {
            kernels->put(done, stride, out_w, channels, 0, (uint8_t *)engine->logits + image * channels, channels);
            continue;
        }
        const fj_int8_grid *to = &engine->layer[of->layer + 1].input;
        kernels->put(done, stride, out_w, channels, kernels->bias, fj_int8_pixel_of(to, image, y, 0), to->pixel);
    }
}

void fj_int8_activate(fj_int8_engine *engine, int layer, int batch, const fj_int8_rounding *how) {
    if (engine->layer[layer].has_planes) {
        fj_int8_plane_activate(engine, &engine->layer[layer], batch, how);
        return;
    }
    Pass pass = {engine, layer, *how};
    fj_pool_run(engine->pool, activate_image, &pass, batch);
}

static void pass_back_image(void *context, int task, int thread) {
    const Pass *of = context;
    fj_int8_engine *engine = of->engine;
    const fj_int8_kernels *kernels = engine->kernels;
    const fj_int8_layer *from = &engine->layer[of->layer], *layer = from - 1;
    int8_t *errors = engine->scratch[thread].line[0];
    size_t image = (size_t)task, h = (size_t)layer->out_h, w = (size_t)layer->out_w, channels = (size_t)layer->outputs;
    size_t stride = from->is_fc ? channels : from->has_lines ? (size_t)from->inputs : from->in_columns;
    size_t line = from->has_lines ? fj_int8_lines_line(from) : w * stride;
    const int32_t *sums = engine->sums + image * (from->is_fc ? from->in_columns : h * line);
    for (size_t y = 0; y < h; y++, sums += line) {
        const fj_int8_grid *to = &layer->error;
        fj_int8_rounding how = of->how;
        how.place = (uint32_t)((image * h + y) * w * channels);
        kernels->rescale(sums, w, stride, channels, 0, &how, errors);
        if (layer->has_planes) {
            fj_int8_plane_spread(layer, image, y, errors, stride, engine->scratch[thread].line[1]);
            continue;
        }
        kernels->mask(fj_int8_pixel_of(&from->input, image, y, 0), from->input.pixel, w, channels, errors, stride);
        if (!layer->pool) {
            kernels->put(errors, stride, w, channels, kernels->bias, fj_int8_pixel_of(to, image, y, 0), to->pixel);
            continue;
        }
        uint8_t *upper = fj_int8_pixel_of(to, image, 2 * y, 0);
        kernels->unpool(errors, stride, layer->winner + (image * h + y) * w * layer->columns, layer->columns, w,
                        channels, upper, upper + to->line, to->pixel);
    }
}

void fj_int8_pass_back(fj_int8_engine *engine, int layer, int batch, const fj_int8_rounding *how) {
    Pass pass = {engine, layer, *how};
    fj_pool_run(engine->pool, pass_back_image, &pass, batch);
}

void fj_int8_take_input(fj_int8_engine *engine, const int8_t *input, int batch) {
    const fj_int8_layer *layer = &engine->layer[0];
    const fj_int8_grid *to = &layer->input;
    size_t h = layer->is_fc ? 1 : (size_t)layer->in_h, bytes = (size_t)layer->in_w * (size_t)layer->inputs;
    for (size_t image = 0; image < (size_t)batch; image++)
        for (size_t y = 0; y < h; y++, input += bytes)
            engine->kernels->put(input, bytes, 1, bytes, engine->kernels->bias, fj_int8_pixel_of(to, image, y, 0), bytes);
}

void fj_int8_take_error(fj_int8_engine *engine, const int8_t *errors, int batch) {
    const fj_int8_layer *layer = &engine->layer[engine->layers - 1];
    const fj_int8_grid *to = &layer->error;
    size_t outputs = (size_t)layer->outputs;
    for (size_t image = 0; image < (size_t)batch; image++, errors += outputs)
        engine->kernels->put(errors, outputs, 1, outputs, engine->kernels->bias, fj_int8_pixel_of(to, image, 0, 0),
                             outputs);
}
