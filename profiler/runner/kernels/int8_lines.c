/* The error of a layer's input by lines, where its channels are few: products by tiles of columns would leave most columns
 * empty, and multiply the zeros of the border. Here a vector has neighbouring sums of a line, several pixels of them, and
 * the weights lie ready at every shift at which the errors of a pixel meet a vector. */
#include <string.h>

#include "int8_engine.h"

typedef struct {
    fj_int8_engine *engine;
    const fj_int8_layer *layer;
    size_t images;
} Task;

/* Sums from one shift to the next; shifts from a pixel to the next one, and shifts. */
static size_t step_of(const fj_int8_layer *layer) {
    return layer->inputs < FJ_INT8_LANES ? (size_t)layer->inputs : FJ_INT8_LANES;
}

static size_t apart_of(const fj_int8_layer *layer) {
    return (size_t)layer->inputs / step_of(layer);
}

static size_t shifts_of(const fj_int8_layer *layer) {
    size_t step = step_of(layer), apart = apart_of(layer);
    return fj_round_up(((size_t)(layer->kernel * layer->inputs) + FJ_INT8_LANES - step) / step, apart);
}

/* Bytes of the weights at one shift. */
static size_t shift_bytes(const fj_int8_layer *layer) {
    return layer->error.pixel * FJ_INT8_LANES;
}

/* Where they lie: those of neighbouring pixels follow each other. */
static size_t place_of(const fj_int8_layer *layer, size_t shift) {
    size_t apart = apart_of(layer), each = shifts_of(layer) / apart;
    return (shift % apart * each + each - 1 - shift / apart) * shift_bytes(layer);
}

size_t fj_int8_lines_bytes(const fj_int8_layer *layer) {
    return (size_t)layer->kernel * shifts_of(layer) * shift_bytes(layer);
}

size_t fj_int8_lines_line(const fj_int8_layer *layer) {
    return fj_round_up((size_t)(layer->in_w * layer->inputs), FJ_INT8_LANES);
}

/* By the products of an image, by lines and by tiles. */
int fj_int8_lines_pay(const fj_int8_layer *layer) {
    size_t kernel = (size_t)layer->kernel, sums = (size_t)(layer->in_h * layer->in_w);
    size_t met = (size_t)(layer->h * layer->w) * shifts_of(layer) * step_of(layer) * kernel * layer->error.pixel;
    size_t by_tiles = sums * kernel * layer->back_steps * 4 * layer->in_columns;
    int evenly = FJ_INT8_LANES % layer->inputs == 0 || layer->inputs % FJ_INT8_LANES == 0;
    return !layer->is_fc && layer->kernels->lines && evenly && 2 * by_tiles > 3 * met &&
           fj_int8_lines_bytes(layer) <= FJ_INT8_NEAR;
}

static int64_t floor_of(int64_t x, int64_t by) {
    return x >= 0 ? x / by : -((by - 1 - x) / by);
}

/* Pixel x reaches from sum c * (x - padding) on over kernel * c sums. */
void fj_int8_lines_reach(const fj_int8_layer *layer, fj_int8_reach *reach) {
    int64_t c = layer->inputs, pad = layer->input.border, step = (int64_t)step_of(layer);
    int64_t line = (int64_t)fj_int8_lines_line(layer);
    for (int64_t first = 0; first < line; first += FJ_INT8_LANES, reach++) {
        int64_t from = floor_of(first - layer->kernel * c, c) + 1 + pad, to = (first + FJ_INT8_LANES - 1) / c + pad;
        if (from < 0) from = 0;
        if (to > layer->w - 1) to = layer->w - 1;
        *reach = (fj_int8_reach){0, 0, 0};
        if (to < from) continue;
        size_t shift = (size_t)((first - c * (from - pad) + FJ_INT8_LANES - step) / step);
        *reach = (fj_int8_reach){(size_t)from, place_of(layer, shift), (size_t)(to - from + 1) * layer->error.pixel / 4};
    }
}

/* Four columns of a row of the kernel, of all outputs, to four lanes. */
static void turn_columns(const fj_int8_layer *layer, size_t ky, size_t quad, int8_t *to) {
    size_t columns = (size_t)layer->kernels->columns, groups = layer->error.pixel / 4;
    const int8_t *from = layer->weights + (ky * layer->steps + quad) * columns * 4;
    for (size_t g = 0; g < groups; g += columns / 4, from += columns * layer->rows) {
        size_t here = groups - g < columns / 4 ? groups - g : columns / 4;
        layer->kernels->lines->turn(from, here, to + g * FJ_INT8_LANES * 4);
    }
}

/* The weights of a row of the kernel at every shift. Shift i has column i * step - (FJ_INT8_LANES - step) of the row in
 * its first lane. */
static void turn_row(void *context, int task, int thread) {
    const Task *of = context;
    const fj_int8_layer *layer = of->layer;
    size_t columns = (size_t)(layer->kernel * layer->inputs), groups = layer->error.pixel / 4, step = step_of(layer);
    size_t shifts = shifts_of(layer), ky = (size_t)task;
    int8_t *to = of->engine->turned + ky * shifts * shift_bytes(layer);
    for (size_t i = 0; i < shifts; i++) {
        int8_t *lanes = to + place_of(layer, i);
        for (size_t lane = 0; lane < FJ_INT8_LANES; lane += 4) {
            size_t column = i * step + lane; /* of so many lanes more */
            int met = column >= FJ_INT8_LANES - step && column - (FJ_INT8_LANES - step) < columns;
            if (met) turn_columns(layer, ky, (column - (FJ_INT8_LANES - step)) / 4, lanes + 4 * lane);
            else
                for (size_t g = 0; g < groups; g++) memset(lanes + (g * FJ_INT8_LANES + lane) * 4, 0, 16);
        }
    }
    (void)thread;
}

static void sum_line(void *context, int task, int thread) {
    const Task *of = context;
    const fj_int8_layer *layer = of->layer;
    size_t line = fj_int8_lines_line(layer), used = (size_t)(layer->in_w * layer->inputs);
    size_t row = shifts_of(layer) * shift_bytes(layer);
    int bottom = task + layer->input.border;
    uint32_t largest = 0;
    for (size_t first = 0; first < line; first += FJ_INT8_LANES) {
        const fj_int8_reach *reach = &layer->reach[first / FJ_INT8_LANES];
        fj_int8_meeting meeting[31];
        size_t meetings = 0, lanes = used - first < FJ_INT8_LANES ? used - first : FJ_INT8_LANES;
        for (int ky = bottom < layer->h ? 0 : bottom - layer->h + 1; ky < layer->kernel && ky <= bottom; ky++)
            meeting[meetings++] = (fj_int8_meeting){
                fj_int8_pixel_of(&layer->error, 0, (size_t)(bottom - ky), reach->pixel),
                of->engine->turned + (size_t)ky * row + reach->place, reach->steps};
        uint32_t found = layer->kernels->lines->back(meeting, meetings, of->images, layer->error.image, lanes,
                                                     of->engine->sums + (size_t)task * line + first,
                                                     line * (size_t)layer->in_h);
        largest = found > largest ? found : largest;
    }
    if (largest > of->engine->scratch[thread].largest) of->engine->scratch[thread].largest = largest;
}

uint32_t fj_int8_lines_back(fj_int8_engine *engine, const fj_int8_layer *layer, int batch) {
    Task of = {engine, layer, (size_t)batch};
    fj_pool_run(engine->pool, turn_row, &of, layer->kernel);
    fj_pool_run(engine->pool, sum_line, &of, layer->in_h);
    return fj_int8_largest(engine);
}
