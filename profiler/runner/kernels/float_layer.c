#include "float_layer.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

float *fj_float_array(size_t count) {
    return fj_zeroed((count + FJ_SLACK) * sizeof(float));
}

static int whole(int count, int lanes) {
    return (count + lanes - 1) / lanes * lanes;
}

/* Offsets of the places y, x of a field with rows of `row` floats and `c` channels, from `corner`. */
static int32_t *raster(int h, int w, size_t row, int c, size_t corner) {
    int32_t *at = malloc((size_t)h * (size_t)w * sizeof *at);
    for (int p = 0; at && p < h * w; p++) at[p] = (int32_t)(corner + (size_t)(p / w) * row + (size_t)(p % w * c));
    return at;
}

/* The same for the windows of a pool: the four places of each follow each other. */
static int32_t *windows(int h, int w, size_t row, int c, size_t corner) {
    int32_t *at = malloc((size_t)h * (size_t)w * 4 * sizeof *at);
    for (int p = 0; at && p < h * w * 4; p++) {
        int cell = p / 4, y = cell / w * 2 + p % 4 / 2, x = cell % w * 2 + p % 2;
        at[p] = (int32_t)(corner + (size_t)y * row + (size_t)(x * c));
    }
    return at;
}

static int32_t *places(const fj_layer *shape, size_t row, int c, size_t corner) {
    if (shape->pool) return windows(shape->out_h, shape->out_w, row, c, corner);
    return raster(shape->out_h, shape->out_w, row, c, corner);
}

/* Runs of a few inputs are copied together; not if that would make the input much larger. */
static int is_thin(const fj_layer *s) {
    int run = s->kernel * s->in_c;
    return s->kernel > 1 && run < FJ_THIN && s->kernel * run <= FJ_MOST_THIN;
}

static int make_input(fj_float_layer *at, size_t batch) {
    const fj_layer *s = &at->shape;
    size_t c = (size_t)s->in_c;
    at->thin = !at->below && is_thin(s);
    at->row = (size_t)(s->in_w + 2 * s->pad) * c, at->inner.image = at->row * (size_t)(s->in_h + 2 * s->pad);
    at->inner.data = fj_float_array(batch * at->inner.image);
    at->inner.at = raster(s->in_h, s->in_w, at->row, s->in_c, (size_t)s->pad * (at->row + c));
    at->rows = at->thin ? 1 : s->kernel, at->run = s->kernel * s->in_c * (at->thin ? s->kernel : 1);
    at->input = at->inner;
    at->input.at = places(s, at->row, s->in_c, 0);
    at->span = whole(at->run, at->kernels->lanes);
    return at->inner.data && at->inner.at && at->input.at;
}

static size_t by_row_of(const fj_float_layer *at) {
    return (size_t)at->rows * (size_t)at->shape.out_c * (size_t)at->span;
}

static size_t weights_of(const fj_float_layer *at) {
    if (at->shape.kind == FJ_CONV) return (size_t)at->channels * fj_fan_in(&at->shape);
    return at->stacked * at->columns * (size_t)fj_blocks((int)at->row, (int)at->columns);
}

/* What the winners need; their errors are of the pooled output. */
static int make_sparse(fj_float_layer *at, size_t batch) {
    const fj_layer *s = &at->shape;
    at->plane = at->thin && s->in_c == 1 && whole(s->out_w, at->kernels->lanes) * 2 <= s->out_w * 3;
    at->winograd = !at->thin && s->kernel == 5 && s->out_w % 2 == 0 && s->in_c >= 8;
    if (at->winograd) at->points = fj_float_array((size_t)(8 * 5 * s->in_c * at->channels));
    at->group = whole(fj_blocks(at->channels, at->threads), at->kernels->lanes);
    at->widened = !at->thin && s->in_c % at->kernels->lanes != 0;
    at->wide = at->input, at->wide_row = at->row;
    if (at->widened) {
        at->wide_row = (size_t)(fj_conv_w(s) * at->span);
        at->wide.image = at->wide_row * (size_t)(s->in_h + 2 * s->pad);
        at->wide.at = windows(s->out_h, s->out_w, at->wide_row, at->span, 0);
    } else if (at->plane) {
        at->wide.at = raster(s->out_h + 2, s->out_w, 2 * at->row, 2, 0); /* past the cells' end for whole vectors */
    } else if (at->thin) {
        at->wide.at = raster(1, 4 * FJ_CELLS, 0, at->span, 0);
    }
    at->by_row = fj_float_array(by_row_of(at));
    at->error_row = (size_t)(s->out_w * s->out_c);
    at->error.image = at->error_row * (size_t)s->out_h;
    at->error.data = fj_float_array(batch * at->error.image);
    at->error.at = raster(s->out_h, s->out_w, at->error_row, s->out_c, 0);
    return (at->points || !at->winograd) && at->by_row && at->error.data && at->error.at && at->wide.at;
}

static int make_dense(fj_float_layer *at, size_t batch) {
    const fj_layer *s = &at->shape;
    int margin = at->below ? s->kernel - 1 - s->pad : 0; /* the first layer's errors go no further back */
    size_t o = (size_t)s->out_c;
    at->error_row = (size_t)(fj_conv_w(s) + 2 * margin) * o;
    at->error.image = at->back.image = at->error_row * (size_t)(fj_conv_h(s) + 2 * margin);
    at->error.data = at->back.data = fj_float_array(batch * at->error.image);
    at->error.at = places(s, at->error_row, s->out_c, (size_t)margin * (at->error_row + o));
    at->back.at = raster(s->in_h, s->in_w, at->error_row, s->out_c, 0);
    at->gradient = fj_float_array((size_t)at->channels * fj_fan_in(s));
    return at->error.data && at->error.at && at->back.at && at->gradient;
}

/* How many pieces a block's task is cut into: a few tasks for each thread. */
static int pieces(int threads, int blocks) {
    return threads > 1 ? (4 * threads + blocks - 1) / blocks : 1;
}

/* Places are numbered, and found, by 32 bits. */
static int countable(const fj_float_layer *at, size_t batch) {
    size_t places = (size_t)at->places, most = INT32_MAX / 2;
    return places <= most / batch && places <= most / (size_t)at->channels && at->input.image <= most &&
           at->error.image <= most && at->wide.image <= most;
}

static int make_conv(fj_float_layer *at, size_t batch) {
    const fj_layer *s = &at->shape;
    at->cells = s->out_h * s->out_w, at->places = s->pool ? 4 * at->cells : at->cells;
    at->width = at->kernels->width(s->out_c), at->back_width = at->kernels->width(s->in_c);
    at->chunks = pieces(at->threads, fj_blocks(at->channels, at->width));
    at->back_chunks = pieces(at->threads, fj_blocks(s->in_c, at->back_width));
    at->winner = s->pool ? calloc(batch * (size_t)(at->cells + at->kernels->lanes), (size_t)at->channels) : NULL;
    if (!make_input(at, batch) || (s->pool && !at->winner)) return 0;
    at->sparse = s->pool && (size_t)at->span * (size_t)s->out_c * sizeof(float) <= FJ_NEAR;
    if (!(at->sparse ? make_sparse(at, batch) : make_dense(at, batch)) || !countable(at, batch)) return 0;
    if (at->winograd) return 1;
    at->weights = fj_float_array(weights_of(at));
    return at->weights != NULL;
}

static int make_full(fj_float_layer *at, size_t batch) {
    const fj_layer *s = &at->shape;
    at->cells = at->places = 1;
    at->row = (size_t)whole((int)fj_fan_in(s), at->kernels->lanes);
    at->input.image = at->inner.image = at->back.image = at->row;
    at->error.image = (size_t)at->channels;
    at->input.data = at->inner.data = fj_float_array(batch * at->row);
    at->inner.at = raster(s->in_h, s->in_w, (size_t)(s->in_w * s->in_c), s->in_c, 0);
    at->error.at = calloc(1, sizeof *at->error.at);
    at->error.data = fj_float_array(batch * at->error.image);
    if (at->below && at->below->shape.kind == FJ_FC) at->back.data = at->below->error.data; /* rows as long as these */
    else at->back.data = at->own_back = fj_float_array(batch * at->row);
    at->order = calloc((size_t)s->out_c + 1 + 2 * FJ_ROWS, sizeof *at->order);
    at->masks = calloc((size_t)s->out_c + FJ_ROWS, 1);
    int tasks = fj_blocks((int)at->row, FJ_COLUMNS);
    at->columns = (size_t)whole(fj_blocks((int)at->row, tasks), at->kernels->lanes);
    at->stacked = (size_t)whole(s->out_c, FJ_ROWS) + FJ_ROWS;
    at->own = fj_float_array(2 * batch * at->columns * (size_t)tasks);
    at->weights = fj_float_array(weights_of(at));
    return at->input.data && at->inner.at && at->error.at && at->error.data && at->back.data && at->own &&
           at->weights && at->order && at->masks;
}

int fj_float_layer_make(fj_float_layer *at, const fj_layer *shape, const fj_float_kernels *kernels, int batch, int bias,
                        int threads, fj_float_layer *below) {
    memset(at, 0, sizeof *at);
    at->shape = *shape, at->kernels = kernels, at->below = below, at->learns_bias = bias;
    at->threads = threads, at->batch_size = batch;
    at->channels = whole(shape->out_c, kernels->lanes);
    at->bias = fj_float_array((size_t)at->channels);
    if (!at->bias || !(shape->kind == FJ_CONV ? make_conv(at, (size_t)batch) : make_full(at, (size_t)batch))) return -1;
    if (below) below->out = at->inner;
    return 0;
}

void fj_float_layer_free(fj_float_layer *at) {
    if (at->wide.at != at->input.at) free(at->wide.at);
    void *held[] = {at->inner.data, at->inner.at, at->input.at, at->error.data, at->error.at, at->back.at, at->own_back,
                    at->winner,     at->weights,  at->by_row,   at->points,   at->bias,       at->gradient, at->own,
                    at->order,      at->masks};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) free(held[i]);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Inputs and products at the points of Winograd. */
static size_t points_scratch(const fj_float_layer *at) {
    size_t tiles = (size_t)(at->shape.out_w / 2), rows = 2 * (size_t)at->shape.out_h;
    size_t inputs = (rows + 4) * tiles * (size_t)at->shape.in_c + FJ_SLACK;
    return at->winograd ? 8 * (inputs + rows * tiles * (size_t)at->width) : 0;
}

static size_t sparse_scratch(const fj_float_layer *at) {
    size_t group = (size_t)at->group, span = (size_t)at->span, cells = (size_t)at->cells;
    if (at->plane) return group * (8 * (size_t)at->shape.kernel + span) + cells + FJ_SLACK;
    if (at->thin) cells = FJ_CELLS;
    size_t wide = larger(at->thin ? 4 * cells * span : at->wide.image, at->input.image) + FJ_SLACK;
    size_t lists = (2 * (size_t)at->shape.out_c + 1) * (size_t)at->places;
    size_t learned = group * ((size_t)at->rows * span + 3 * cells + FJ_WINNERS);
    return larger(wide + larger(lists, learned), points_scratch(at));
}

size_t fj_float_layer_scratch(const fj_float_layer *at) {
    if (at->shape.kind == FJ_FC) return 0;
    if (at->sparse) return sparse_scratch(at);
    size_t area = (size_t)at->shape.kernel * (size_t)at->shape.kernel;
    size_t flipped = (size_t)at->back_width * area * (size_t)at->shape.out_c;
    return larger(flipped, (size_t)(at->width + (at->thin ? at->span : 0)) * FJ_PLACES);
}

int fj_float_layer_regions(fj_float_layer *at, fj_region *regions) {
    int count = 0;
    regions[count++] = (fj_region){at->bias, (size_t)at->channels * sizeof *at->bias};
    if (at->weights) regions[count++] = (fj_region){at->weights, weights_of(at) * sizeof *at->weights};
    if (at->by_row) regions[count++] = (fj_region){at->by_row, by_row_of(at) * sizeof *at->by_row};
    return count;
}
