/* The products of a layer that reach over its pixels: its sums, and the error of its input. */
#include <string.h>

#include "int8_engine.h"

/* Pixels of a task, a multiple of every path's rows; weights beyond this size stay in the cache one tile at a time. */
#define BLOCK ((size_t)96)
#define MANY_WEIGHTS ((size_t)1 << 20)

typedef struct {
    fj_int8_engine *engine;
    const fj_int8_kernels *kernels;
    const fj_int8_grid *grid; /* the operand */
    size_t inner_h;           /* of the grid, without its border */
    size_t h, w, pixels;      /* of the sums */
    size_t columns;
    size_t runs, steps;
    const int8_t *packed;
    const int32_t *start; /* [runs + 1][columns] */
    size_t blocks, tiles;
    int tile_by_tile;
} Product;

uint32_t fj_int8_largest(const fj_int8_engine *engine) {
    uint32_t largest = 0;
    for (int i = 0; i < fj_pool_threads(engine->pool); i++) {
        if (engine->scratch[i].largest > largest) largest = engine->scratch[i].largest;
        engine->scratch[i].largest = 0;
    }
    return largest;
}

/* Runs that do not only meet the border, for pixels from `first` to `last`. */
static void runs_of(const Product *of, fj_int8_place first, fj_int8_place last, size_t *from, size_t *to) {
    size_t border = (size_t)of->grid->border, below = border + of->inner_h;
    *from = 0, *to = of->runs;
    if (first.n != last.n) return;
    if (border > last.y) *from = border - last.y;
    if (below - first.y < of->runs) *to = below - first.y;
}

/* What is taken away may be out of range; what is left is not. */
static inline int32_t added(int32_t a, uint32_t b) {
    return (int32_t)((uint32_t)a + b);
}

static void multiply_block(void *context, int task, int thread) {
    const Product *of = context;
    const fj_int8_kernels *kernels = of->kernels;
    fj_int8_scratch *scratch = &of->engine->scratch[thread];
    size_t block = of->tile_by_tile ? (size_t)task % of->blocks : (size_t)task / of->tiles;
    size_t tile = of->tile_by_tile ? (size_t)task / of->blocks : (size_t)task % of->tiles;
    size_t rows = (size_t)kernels->rows, columns = (size_t)kernels->columns;
    size_t pixel = block * BLOCK, end = pixel + BLOCK < of->pixels ? pixel + BLOCK : of->pixels;
    const int8_t *packed = of->packed + tile * of->runs * of->steps * columns * 4;
    const int32_t *starts = of->start + tile * columns;
    fj_int8_place place = fj_int8_place_of(pixel, of->h, of->w);
    for (; pixel < end; pixel += rows) {
        const uint8_t *row[FJ_MOST_ROWS];
        int32_t part[FJ_MOST_COLUMNS];
        const int32_t *start;
        size_t used = end - pixel < rows ? end - pixel : rows, from, to;
        fj_int8_place first = place, last = place;
        for (size_t r = 0; r < used; r++) {
            row[r] = fj_int8_window(of->grid, place);
            last = place;
            fj_int8_advance(&place, of->h, of->w);
        }
        for (size_t r = used; r < rows; r++) row[r] = row[used - 1];
        runs_of(of, first, last, &from, &to);
        start = starts + to * of->columns;
        if (from > 0) {
            for (size_t r = 0; r < rows; r++) row[r] += from * of->grid->line;
            for (size_t c = 0; c < columns; c++) part[c] = added(start[c], -(uint32_t)starts[from * of->columns + c]);
            start = part;
        }
        uint32_t largest = kernels->multiply(row, (int)used, of->grid->line, (int)(to - from), of->steps,
                                             packed + from * of->steps * columns * 4, start,
                                             of->engine->sums + pixel * of->columns + tile * columns, of->columns);
        if (largest > scratch->largest) scratch->largest = largest;
    }
}

static uint32_t multiply(Product *of, size_t weights) {
    of->blocks = (of->pixels + BLOCK - 1) / BLOCK;
    of->tiles = of->columns / (size_t)of->kernels->columns;
    of->tile_by_tile = weights > MANY_WEIGHTS;
    fj_pool_run(of->engine->pool, multiply_block, of, (int)(of->blocks * of->tiles));
    return fj_int8_largest(of->engine);
}

typedef struct {
    fj_int8_engine *engine;
    const fj_int8_layer *layer;
} Packing;

/* What the sums of one tile of columns begin with, after 0, 1, ... runs. */
static void begin(const fj_int8_kernels *kernels, const int8_t *packed, size_t runs, size_t steps, int32_t *start,
                  size_t stride) {
    size_t columns = (size_t)kernels->columns;
    for (size_t c = 0; c < columns; c++) start[c] = 0;
    for (size_t run = 0; run < runs; run++, start += stride, packed += steps * columns * 4) {
        kernels->begin(packed, steps, start + stride);
        for (size_t c = 0; c < columns; c++) start[stride + c] = added(start[stride + c], (uint32_t)start[c]);
    }
}

static void begin_tile(void *context, int task, int thread) {
    const Packing *of = context;
    const fj_int8_layer *layer = of->layer;
    size_t tile = (size_t)task, columns = (size_t)layer->kernels->columns;
    begin(layer->kernels, layer->weights + tile * layer->rows * columns, (size_t)layer->kernel, layer->steps,
          layer->start + tile * columns, layer->columns);
    (void)thread;
}

uint32_t fj_int8_sum_forward(fj_int8_engine *engine, fj_int8_layer *layer, int batch) {
    Packing packing = {engine, layer};
    if (!layer->is_begun)
        fj_pool_run(engine->pool, begin_tile, &packing, (int)(layer->columns / (size_t)layer->kernels->columns));
    layer->is_begun = 1;
    if (layer->has_planes) return fj_int8_plane_forward(engine, layer, batch);
    Product product = {.engine = engine, .kernels = layer->kernels, .grid = &layer->input,
                       .inner_h = (size_t)layer->in_h, .h = (size_t)layer->h, .w = (size_t)layer->w,
                       .pixels = (size_t)(batch * layer->h * layer->w),
                       .columns = layer->columns,
                       .runs = (size_t)layer->kernel, .steps = layer->steps, .packed = layer->weights,
                       .start = layer->start};
    return multiply(&product, layer->rows * layer->columns);
}

/* Inputs become columns; the kernel is flipped. */
static void turn_tile(void *context, int task, int thread) {
    const Packing *of = context;
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = layer->kernels;
    size_t columns = (size_t)kernels->columns, step = columns * 4, first = (size_t)task * columns;
    size_t side = (size_t)layer->kernel, inputs = (size_t)layer->inputs, quads = layer->error.pixel / 4;
    size_t used = (inputs - first + 3) / 4, apart = layer->rows * columns;
    int8_t *turned = of->engine->turned + (size_t)task * side * layer->back_steps * step;
    int8_t *to = turned;
    for (size_t ky = side; ky-- > 0;) {
        for (size_t kx = side; kx-- > 0; to += quads * step)
            kernels->turn(layer->weights + (ky * layer->steps + (kx * inputs + first) / 4) * step, apart, used, quads,
                          to);
        for (size_t i = side * quads; i < layer->back_steps; i++, to += step) memset(to, 0, step);
    }
    begin(kernels, turned, side, layer->back_steps, of->engine->turned_start + first, layer->in_columns);
    (void)thread;
}

uint32_t fj_int8_sum_back(fj_int8_engine *engine, const fj_int8_layer *layer, int batch) {
    if (layer->has_lines) return fj_int8_lines_back(engine, layer, batch);
    Packing packing = {engine, layer};
    fj_pool_run(engine->pool, turn_tile, &packing, (int)(layer->in_columns / (size_t)layer->kernels->columns));
    Product product = {.engine = engine, .kernels = layer->kernels, .grid = &layer->error,
                       .inner_h = (size_t)layer->h, .h = (size_t)layer->in_h, .w = (size_t)layer->in_w,
                       .pixels = (size_t)(batch * layer->in_h * layer->in_w),
                       .columns = layer->in_columns, .runs = (size_t)layer->kernel, .steps = layer->back_steps,
                       .packed = engine->turned, .start = engine->turned_start};
    return multiply(&product, layer->rows * layer->columns);
}
