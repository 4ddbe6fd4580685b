/* The three products of a layer: forward, error of its input, gradient of its weights. */
#include <string.h>

#include "int8_engine.h"

/* Pixels of a task; weights beyond this size stay in the cache one tile at a time. */
#define BLOCK_TILES 8
#define MANY_WEIGHTS ((size_t)1 << 20)

typedef struct {
    fj_int8_engine *engine;
    const uint8_t *at;
    size_t pixel, line, image; /* of the operand */
    int h, w;                  /* of the sums */
    size_t pixels;
    int runs;
    size_t steps;
    const int8_t *packed;
    const int32_t *start;
    size_t columns; /* of the sums */
    int blocks, tiles, tile_by_tile;
} Product;

/* Walks over the pixels of a batch of images. */
typedef struct {
    size_t n, y, x;
} Place;

static Place place_of(size_t pixel, size_t h, size_t w) {
    return (Place){pixel / (h * w), pixel / w % h, pixel % w};
}

static inline void advance(Place *place, size_t h, size_t w) {
    if (++place->x < w) return;
    place->x = 0;
    if (++place->y < h) return;
    place->y = 0, place->n++;
}

static inline const uint8_t *pixel_at(const uint8_t *at, size_t image, size_t line, size_t pixel, Place place) {
    return at + place.n * image + place.y * line + place.x * pixel;
}

static void multiply_block(void *context, int task, int thread) {
    const Product *of = context;
    const fj_int8_kernels *kernels = of->engine->kernels;
    fj_int8_scratch *scratch = &of->engine->scratch[thread];
    size_t block = (size_t)(of->tile_by_tile ? task % of->blocks : task / of->tiles);
    size_t tile = (size_t)(of->tile_by_tile ? task / of->blocks : task % of->tiles);
    size_t rows = (size_t)kernels->rows, columns = (size_t)kernels->columns, length = rows * BLOCK_TILES;
    size_t first = block * length, end = first + length < of->pixels ? first + length : of->pixels;
    const int8_t *packed = of->packed + tile * (size_t)of->runs * of->steps * columns * 4;
    Place place = place_of(first, (size_t)of->h, (size_t)of->w);
    for (; first < end; first += rows) {
        const uint8_t *row[FJ_MOST_ROWS];
        size_t used = end - first < rows ? end - first : rows;
        for (size_t r = 0; r < rows; r++) {
            if (r >= used) {
                row[r] = row[used - 1];
                continue;
            }
            row[r] = pixel_at(of->at, of->image, of->line, of->pixel, place);
            advance(&place, (size_t)of->h, (size_t)of->w);
        }
        uint32_t largest = kernels->multiply(row, (int)used, of->line, of->runs, of->steps, packed,
                                             of->start + tile * columns,
                                             of->engine->sums + first * of->columns + tile * columns, of->columns);
        if (largest > scratch->largest) scratch->largest = largest;
    }
}

static uint32_t largest_of(const fj_int8_engine *engine) {
    uint32_t largest = 0;
    for (int i = 0; i < fj_pool_threads(engine->pool); i++) {
        if (engine->scratch[i].largest > largest) largest = engine->scratch[i].largest;
        engine->scratch[i].largest = 0;
    }
    return largest;
}

static uint32_t run_product(Product *of, size_t weight_bytes) {
    const fj_int8_kernels *kernels = of->engine->kernels;
    size_t length = (size_t)kernels->rows * BLOCK_TILES;
    of->blocks = (int)((of->pixels + length - 1) / length);
    of->tiles = (int)(of->columns / (size_t)kernels->columns);
    of->tile_by_tile = weight_bytes > MANY_WEIGHTS;
    fj_pool_run(of->engine->pool, multiply_block, of, of->blocks * of->tiles);
    return largest_of(of->engine);
}

typedef struct {
    fj_int8_engine *engine;
    const fj_int8_layer *layer;
} Packing;

static void pack_tile(void *context, int task, int thread) {
    const Packing *of = context;
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = of->engine->kernels;
    size_t columns = (size_t)kernels->columns, tile = (size_t)task, runs = (size_t)layer->kernel;
    int8_t *packed = layer->packed + tile * runs * layer->steps * columns * 4;
    kernels->pack(layer->weights + tile * columns, layer->columns, layer->kernel, layer->rows / runs, layer->steps, packed);
    kernels->begin(packed, runs * layer->steps, layer->start + tile * columns);
    (void)thread;
}

uint32_t fj_int8_sum_forward(fj_int8_engine *engine, fj_int8_layer *layer, int batch) {
    Packing packing = {engine, layer};
    if (!layer->is_packed) fj_pool_run(engine->pool, pack_tile, &packing, (int)(layer->columns / (size_t)engine->kernels->columns));
    layer->is_packed = 1;
    const fj_int8_grid *grid = &layer->input;
    Product product = {.engine = engine, .at = grid->at, .pixel = grid->pixel, .line = grid->line, .image = grid->image,
                       .h = layer->h, .w = layer->w, .pixels = (size_t)batch * (size_t)layer->h * (size_t)layer->w,
                       .runs = layer->kernel, .steps = layer->steps, .packed = layer->packed, .start = layer->start,
                       .columns = layer->columns};
    return run_product(&product, layer->rows * layer->columns);
}

/* Inputs become columns; the kernel is flipped. */
static void turn_tile(void *context, int task, int thread) {
    const Packing *of = context;
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = of->engine->kernels;
    size_t columns = (size_t)kernels->columns, first = (size_t)task * columns, side = (size_t)layer->kernel;
    size_t inputs = (size_t)layer->inputs, quads = layer->error.pixel / 4, step = columns * 4;
    int used = (int)(inputs - first < columns ? inputs - first : columns);
    int8_t *turned = of->engine->turned + (size_t)task * side * layer->back_steps * step;
    for (size_t ky = side; ky-- > 0;) {
        int8_t *to = turned + (side - 1 - ky) * layer->back_steps * step;
        for (size_t kx = side; kx-- > 0; to += quads * step)
            kernels->pack_turned(layer->weights + ((ky * side + kx) * inputs + first) * layer->columns, layer->columns, used,
                                 quads, to);
        memset(to, 0, (layer->back_steps - side * quads) * step);
    }
    kernels->begin(turned, side * layer->back_steps, of->engine->turned_start + first);
    (void)thread;
}

uint32_t fj_int8_sum_back(fj_int8_engine *engine, const fj_int8_layer *layer, int batch) {
    Packing packing = {engine, layer};
    fj_pool_run(engine->pool, turn_tile, &packing, (int)(layer->in_columns / (size_t)engine->kernels->columns));
    const fj_int8_grid *grid = &layer->error;
    Product product = {.engine = engine, .at = grid->at, .pixel = grid->pixel, .line = grid->line, .image = grid->image,
                       .h = layer->in_h, .w = layer->in_w,
                       .pixels = (size_t)batch * (size_t)layer->in_h * (size_t)layer->in_w,
                       .runs = layer->kernel, .steps = layer->back_steps, .packed = engine->turned,
                       .start = engine->turned_start, .columns = layer->in_columns};
    return run_product(&product, layer->rows * layer->columns);
}

typedef struct {
    fj_int8_engine *engine;
    const fj_int8_layer *layer;
    size_t first, pixels; /* of this part of the batch */
    size_t steps;         /* of four pixels */
    int fresh;
} Part;

/* Four pixels from `place` on, or the blank one where the part has ended. */
static inline void four_pixels(const Part *of, const fj_int8_grid *grid, size_t offset, size_t number, Place *place,
                               const uint8_t *blank, const uint8_t *four[4]) {
    for (size_t j = 0; j < 4; j++) {
        four[j] = blank;
        if (number + j >= of->pixels) continue;
        four[j] = pixel_at(grid->at, grid->image, grid->line, grid->pixel, *place) + offset;
        advance(place, (size_t)of->layer->h, (size_t)of->layer->w);
    }
}

static void pack_errors(void *context, int task, int thread) {
    const Part *of = context;
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = of->engine->kernels;
    const fj_int8_grid *grid = &layer->error;
    size_t columns = (size_t)kernels->columns, first = (size_t)task * columns, outputs = (size_t)layer->outputs;
    size_t used = outputs - first < columns ? outputs - first : columns;
    size_t offset = (size_t)grid->border * (grid->line + grid->pixel) + first;
    int8_t *to = of->engine->groups + (size_t)task * FJ_INT8_GROUPS * columns * 4;
    Place place = place_of(of->first, (size_t)layer->h, (size_t)layer->w);
    for (size_t step = 0; step < of->steps; step++) {
        const uint8_t *four[4];
        int8_t *at = to + step * columns * 4;
        four_pixels(of, grid, offset, 4 * step, &place, of->engine->blank, four);
        kernels->interleave(four, columns, kernels->bias, (uint8_t *)at);
        if (used < columns) memset(at + 4 * used, 0, 4 * (columns - used));
    }
    kernels->begin(to, of->steps, of->engine->groups_start + first);
    (void)thread;
}

/* The inputs that meet rows first..first+count-1 of the weights, for every step. */
static void pack_inputs(const Part *of, size_t first, size_t count, uint8_t *operand, size_t step_bytes) {
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = of->engine->kernels;
    size_t run = layer->rows / (size_t)layer->kernel;
    Place place = place_of(of->first, (size_t)layer->h, (size_t)layer->w);
    for (size_t step = 0; step < of->steps; step++, operand += step_bytes) {
        const uint8_t *four[4];
        four_pixels(of, &layer->input, 0, 4 * step, &place, NULL, four);
        for (size_t j = 1; j < 4; j++) four[j] = four[j] ? four[j] : four[0];
        if (!four[0]) break; /* errors of this step are 0 */
        for (size_t row = first; row < first + count;) {
            size_t in_run = row % run, length = run - in_run;
            if (length > first + count - row) length = first + count - row;
            size_t offset = row / run * layer->input.line + in_run;
            const uint8_t *at[4] = {four[0] + offset, four[1] + offset, four[2] + offset, four[3] + offset};
            kernels->interleave(at, length, 0, operand + 4 * (row - first));
            row += length;
        }
    }
}

static void accumulate_rows(void *context, int task, int thread) {
    const Part *of = context;
    const fj_int8_layer *layer = of->layer;
    fj_int8_engine *engine = of->engine;
    const fj_int8_kernels *kernels = engine->kernels;
    fj_int8_scratch *scratch = &engine->scratch[thread];
    size_t rows = (size_t)kernels->rows, columns = (size_t)kernels->columns, length = rows * FJ_INT8_ROW_TILES;
    size_t first = (size_t)task * length, end = first + length < layer->rows ? first + length : layer->rows;
    pack_inputs(of, first, end - first, scratch->operand, 4 * length);
    for (size_t tile = 0; tile < layer->columns; tile += columns) {
        const int8_t *errors = engine->groups + tile * FJ_INT8_GROUPS * 4;
        for (size_t row = first; row < end; row += rows) {
            int used = (int)(end - row < rows ? end - row : rows);
            uint32_t largest = kernels->accumulate(scratch->operand + 4 * (row - first), 4 * length, used, of->steps, errors,
                                                   engine->groups_start + tile, of->fresh,
                                                   engine->gradient + row * layer->columns + tile, layer->columns);
            if (largest > scratch->largest) scratch->largest = largest;
        }
    }
}

uint32_t fj_int8_sum_gradient(fj_int8_engine *engine, const fj_int8_layer *layer, int batch) {
    const fj_int8_kernels *kernels = engine->kernels;
    size_t pixels = (size_t)batch * (size_t)layer->h * (size_t)layer->w, length = (size_t)kernels->rows * FJ_INT8_ROW_TILES;
    uint32_t largest = 0;
    for (size_t first = 0; first < pixels; first += 4 * FJ_INT8_GROUPS) {
        Part part = {.engine = engine, .layer = layer, .first = first, .fresh = first == 0};
        part.pixels = pixels - first < 4 * FJ_INT8_GROUPS ? pixels - first : 4 * FJ_INT8_GROUPS;
        part.steps = fj_round_up((part.pixels + 3) / 4, (size_t)kernels->steps);
        fj_pool_run(engine->pool, pack_errors, &part, (int)(layer->columns / (size_t)kernels->columns));
        fj_pool_run(engine->pool, accumulate_rows, &part, (int)((layer->rows + length - 1) / length));
        largest = largest_of(engine); /* of the last part, whose sums are whole */
    }
    return largest;
}
