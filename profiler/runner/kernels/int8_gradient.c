/* The gradient of a layer's weights, and what they learn from it. */
#include "int8_engine.h"
#include "rounding.h"

/* A gradient over so few pixels is cheaper made twice, for its maximum and for the update, than kept. */
#define FEW_PIXELS 32
#define ROWS_OF_UPDATE 256

/* Some pixels of the batch. */
typedef struct {
    fj_int8_engine *engine;
    fj_int8_layer *layer;
    size_t first, pixels, steps; /* steps of four pixels */
    int fresh;
    const fj_int8_rounding *how; /* of the update */
    uint32_t largest;
} Part;

/* Four pixels from `place` on; NULL where the part has ended. */
static inline void four_pixels(const Part *of, const fj_int8_grid *grid, size_t number, fj_int8_place *place,
                               const uint8_t *four[4]) {
    for (size_t j = 0; j < 4; j++) {
        four[j] = NULL;
        if (number + j >= of->pixels) continue;
        four[j] = fj_int8_window(grid, *place);
        fj_int8_advance(place, (size_t)of->layer->h, (size_t)of->layer->w);
    }
}

static void pack_errors(void *context, int task, int thread) {
    const Part *of = context;
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = of->layer->kernels;
    const fj_int8_grid *grid = &layer->error;
    size_t columns = (size_t)kernels->columns, first = (size_t)task * columns, outputs = (size_t)layer->outputs;
    size_t used = outputs - first < columns ? outputs - first : columns;
    size_t offset = (size_t)grid->border * (grid->line + grid->pixel) + first;
    int8_t *to = of->engine->groups + first * FJ_INT8_GROUPS * 4;
    fj_int8_place place = fj_int8_place_of(of->first, (size_t)layer->h, (size_t)layer->w);
    for (size_t step = 0; step < of->steps; step++) {
        const uint8_t *four[4];
        four_pixels(of, grid, 4 * step, &place, four);
        for (size_t j = 0; j < 4; j++) four[j] = four[j] ? four[j] + offset : of->engine->blank;
        kernels->gather_errors(four, used, to + step * columns * 4);
    }
    kernels->begin(to, of->steps, of->engine->groups_start + first);
    (void)thread;
}

static void run_pack_errors(Part *of) {
    fj_pool_run(of->engine->pool, pack_errors, of, (int)(of->layer->columns / (size_t)of->layer->kernels->columns));
}

/* Inputs that meet rows first to end - 1 of the weights. */
static int stretches_of(const fj_int8_layer *layer, size_t first, size_t end, fj_int8_stretch *stretch) {
    size_t whole = 4 * layer->steps, length = (size_t)(layer->kernel * layer->inputs);
    int count = 0;
    while (first < end) {
        size_t in_run = first % whole, left = whole - in_run < end - first ? whole - in_run : end - first;
        size_t filled = in_run >= length ? 0 : length - in_run < left ? length - in_run : left;
        size_t offset = first / whole * layer->input.line + in_run;
        stretch[count++] = (fj_int8_stretch){offset, (int)filled, (int)(left - filled)};
        first += left;
    }
    return count;
}

static void pack_inputs(const Part *of, size_t first, size_t end, uint8_t *operand, size_t step_bytes) {
    const fj_int8_layer *layer = of->layer;
    fj_int8_stretch stretch[FJ_INT8_ROWS / 4 + 2];
    int stretches = stretches_of(layer, first, end, stretch);
    fj_int8_place place = fj_int8_place_of(of->first, (size_t)layer->h, (size_t)layer->w);
    for (size_t step = 0; 4 * step < of->pixels; step++, operand += step_bytes) {
        const uint8_t *four[4];
        four_pixels(of, &layer->input, 4 * step, &place, four);
        for (size_t j = 1; j < 4; j++) four[j] = four[j] ? four[j] : four[0]; /* the errors there are 0 */
        of->layer->kernels->gather_inputs(four, stretch, stretches, operand);
    }
}

/* Rows first to end - 1 of one tile of columns. */
static void accumulate(const Part *of, size_t first, size_t end, size_t tile, int thread, int32_t *out, size_t stride) {
    const fj_int8_engine *engine = of->engine;
    fj_int8_scratch *scratch = &engine->scratch[thread];
    const int8_t *errors = engine->groups + tile * FJ_INT8_GROUPS * 4;
    uint32_t largest = of->layer->kernels->accumulate(scratch->operand, 4 * FJ_INT8_ROWS, (int)(end - first), of->steps,
                                                   errors, engine->groups_start + tile, of->fresh, out, stride);
    if (largest > scratch->largest) scratch->largest = largest;
}

static void accumulate_rows(void *context, int task, int thread) {
    const Part *of = context;
    const fj_int8_layer *layer = of->layer;
    size_t length = FJ_INT8_ROWS, first = (size_t)task * length;
    size_t end = first + length < layer->rows ? first + length : layer->rows;
    pack_inputs(of, first, end, of->engine->scratch[thread].operand, 4 * length);
    for (size_t tile = 0; tile < layer->columns; tile += (size_t)of->layer->kernels->columns)
        accumulate(of, first, end, tile, thread, of->engine->gradient + first * layer->columns + tile, layer->columns);
}

static void update(const Part *of, size_t first, size_t end, size_t tile, const int32_t *gradient, size_t stride) {
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = of->layer->kernels;
    size_t fan_in = (size_t)(layer->kernel * layer->kernel * layer->true_inputs);
    fj_int8_rounding how = *of->how;
    how.place = (uint32_t)(tile * fan_in);
    kernels->update(gradient, stride, (end - first) / 4, &how, of->largest, layer->place + first, fan_in,
                    layer->weights + tile * layer->rows + first * (size_t)kernels->columns);
}

/* The same gradient a first time for its maximum, and once this is known, a second time. */
static void use_rows(void *context, int task, int thread) {
    const Part *of = context;
    const fj_int8_layer *layer = of->layer;
    size_t length = FJ_INT8_ROWS, first = (size_t)task * length;
    size_t end = first + length < layer->rows ? first + length : layer->rows;
    size_t columns = (size_t)of->layer->kernels->columns;
    int32_t *made = of->engine->scratch[thread].tile;
    pack_inputs(of, first, end, of->engine->scratch[thread].operand, 4 * length);
    for (size_t tile = 0; tile < layer->columns; tile += columns) {
        if (!of->how) {
            accumulate(of, first, end, tile, thread, made, columns);
            continue;
        }
        layer->kernels->accumulate_again(of->engine->scratch[thread].operand, 4 * FJ_INT8_ROWS, (int)(end - first),
                                         of->steps, of->engine->groups + tile * FJ_INT8_GROUPS * 4,
                                         of->engine->groups_start + tile, made, columns);
        update(of, first, end, tile, made, columns);
    }
}

static void update_rows(void *context, int task, int thread) {
    const Part *of = context;
    const fj_int8_layer *layer = of->layer;
    size_t first = (size_t)task * ROWS_OF_UPDATE;
    size_t end = first + ROWS_OF_UPDATE < layer->rows ? first + ROWS_OF_UPDATE : layer->rows;
    for (size_t tile = 0; tile < layer->columns; tile += (size_t)of->layer->kernels->columns)
        update(of, first, end, tile, of->engine->gradient + first * layer->columns + tile, layer->columns);
    (void)thread;
}

static void run_rows(Part *of, fj_task task, size_t rows) {
    fj_pool_run(of->engine->pool, task, of, (int)((of->layer->rows + rows - 1) / rows));
}

static Part part_of(fj_int8_engine *engine, const fj_int8_layer *layer, int batch, size_t first) {
    size_t pixels = (size_t)(batch * layer->h * layer->w) - first, most = 4 * FJ_INT8_GROUPS;
    Part part = {.engine = engine, .layer = (fj_int8_layer *)layer, .first = first, .fresh = first == 0};
    part.pixels = pixels < most ? pixels : most;
    part.steps = fj_round_up((part.pixels + 3) / 4, (size_t)layer->kernels->steps);
    return part;
}

uint32_t fj_int8_sum_gradient(fj_int8_engine *engine, const fj_int8_layer *layer, int batch) {
    size_t pixels = (size_t)(batch * layer->h * layer->w);
    uint32_t largest = 0;
    if (layer->has_planes) return fj_int8_plane_gradient(engine, layer, batch);
    for (size_t first = 0; first < pixels; first += 4 * FJ_INT8_GROUPS) {
        Part part = part_of(engine, layer, batch, first);
        run_pack_errors(&part);
        run_rows(&part, accumulate_rows, FJ_INT8_ROWS);
        largest = fj_int8_largest(engine); /* of the last part, whose sums are whole */
    }
    return largest;
}

/* Eq. 2 of the paper: the largest entry keeps mu bits. Shifts beyond 31 would leave nothing of any gradient. */
static int shift_of(uint32_t largest, int mu) {
    int shift = fj_bit_width(largest) - (mu < -64 ? -64 : mu > 64 ? 64 : mu);
    return shift < 0 ? 0 : shift > 31 ? 31 : shift;
}

int fj_int8_learn(fj_int8_engine *engine, fj_int8_layer *layer, int batch, int mu, fj_int8_rounding how) {
    Part part = part_of(engine, layer, batch, 0);
    int at_once = !layer->has_planes && (size_t)(batch * layer->h * layer->w) <= FEW_PIXELS;
    if (at_once) {
        run_pack_errors(&part);
        run_rows(&part, use_rows, FJ_INT8_ROWS);
        part.largest = fj_int8_largest(engine);
    } else {
        part.largest = fj_int8_sum_gradient(engine, layer, batch);
    }
    how.shift = shift_of(part.largest, mu);
    if (part.largest == 0) return how.shift;
    part.how = &how;
    if (at_once) run_rows(&part, use_rows, FJ_INT8_ROWS);
    else run_rows(&part, update_rows, ROWS_OF_UPDATE);
    layer->is_begun = 0;
    return how.shift;
}
