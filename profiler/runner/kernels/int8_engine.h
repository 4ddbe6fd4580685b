/* The INT8 engine's own state, shared by its parts. */
#ifndef FJ_INT8_ENGINE_H
#define FJ_INT8_ENGINE_H

#include "engine.h"
#include "int8_kernels.h"

/* A tensor with a border of zeros, in bytes; `at` is the corner of the border. */
typedef struct {
    uint8_t *at;
    size_t pixel, line, image;
    int border;
} fj_int8_grid;

/* Errors of a line that meet a vector of sums: the first pixel, where its weights lie, and steps of four outputs. */
typedef struct {
    size_t pixel, place, steps;
} fj_int8_reach;

/* A fully connected layer is a convolution of one pixel with all its inputs as channels. */
typedef struct {
    int kernel, outputs;
    int inputs;           /* of a pixel, rounded up to 4 after the first layer; the model's number is true_inputs */
    int true_inputs;
    int in_h, in_w;       /* pixels of the input */
    int h, w;             /* of the sums */
    int out_h, out_w;     /* of the output: halved by a pool */
    int relu, pool, is_fc;
    size_t steps;         /* of 4 inputs in a run: a row of the kernel */
    size_t back_steps;    /* of 4 outputs, on the way back */
    size_t rows, columns; /* of the weights: kernel * steps * 4, and outputs rounded up to whole tiles */
    size_t in_columns;    /* inputs rounded up to whole tiles */
    int8_t *weights;      /* [tile of outputs][ky][step][output][4]; 0 where rows or columns are only round */
    int exponent;
    uint32_t *place;      /* of each row's weight for output 0, in O, ky, kx, C order */
    int32_t *start;       /* what sums over the first 0 to `kernel` runs begin with: [kernel + 1][columns] */
    int is_begun;         /* whether `start` is that of the weights */
    fj_int8_grid input;   /* what the layer reads */
    fj_int8_grid error;   /* error of its sums */
    uint8_t *winner;      /* of each pooled output: its place in the window */
    const fj_int8_kernels *kernels;
    int has_lines;        /* see int8_lines.c: */
    fj_int8_reach *reach; /* of each vector of a line */
    int has_planes;       /* see int8_plane.c: */
    int32_t *valid;       /* which places are sums */
    int8_t *planes;       /* its errors, [image][output], instead of `error` */
    fj_shifts shifts;
} fj_int8_layer;

typedef struct {
    uint32_t largest; /* magnitude of the sums that this thread has made */
    int8_t *line[3];  /* rows of mantissas */
    uint8_t *operand; /* inputs of a few rows of weights, packed */
    int32_t *tile;    /* gradient of a few rows */
    char apart[64];   /* keeps threads out of each other's cache lines */
} fj_int8_scratch;

/* Of the classes of one image. */
typedef struct {
    double *weights;
    int32_t *shares;
} fj_int8_room;

struct fj_int8_engine {
    int layers;
    int trained; /* images of the last step of training */
    fj_int8_layer layer[FJ_MOST_LAYERS];
    const fj_int8_kernels *kernels; /* with the widest tiles */
    fj_pool *pool;
    fj_int8_scratch *scratch; /* of each thread */
    int8_t *logits;           /* [batch][classes] */
    fj_int8_room of_loss;
    int32_t *sums;            /* of the layer at work */
    int32_t *gradient;        /* of the layer at work: [rows][columns] */
    int8_t *turned;           /* weights of the layer at work, packed by output for the way back */
    int32_t *turned_start;
    int8_t *groups; /* errors of a few pixels, packed, and what their sums begin with */
    int32_t *groups_start;
    uint8_t *blank; /* a pixel of zeros */
    void *block[9 * FJ_MOST_LAYERS];
    int blocks;
};

/* Steps of four pixels that a gradient takes in at a time, and rows of weights whose inputs are packed together: a
 * multiple of every path's rows and of 4. */
#define FJ_INT8_GROUPS 128
#define FJ_INT8_ROWS ((size_t)96)
#define FJ_INT8_NEAR ((size_t)32768) /* bytes of weights that stay in the nearest cache */

static inline size_t fj_round_up(size_t x, size_t to) {
    return (x + to - 1) / to * to;
}

/* Where the model's weight of output 0 stands in a column of ours. */
static inline size_t fj_int8_row_of(const fj_int8_layer *layer, size_t place) {
    size_t inputs = (size_t)layer->true_inputs, side = (size_t)layer->kernel, tap = place / inputs;
    return tap / side * layer->steps * 4 + tap % side * (size_t)layer->inputs + place % inputs;
}

static inline size_t fj_int8_fan_in(const fj_int8_layer *layer) {
    return (size_t)(layer->kernel * layer->kernel * layer->true_inputs);
}

/* Products over `batch` images. Each gives the largest magnitude among its sums. */
uint32_t fj_int8_sum_forward(fj_int8_engine *engine, fj_int8_layer *layer, int batch);
uint32_t fj_int8_sum_back(fj_int8_engine *engine, const fj_int8_layer *layer, int batch);
uint32_t fj_int8_sum_gradient(fj_int8_engine *engine, const fj_int8_layer *layer, int batch);
/* The gradient and the update of the weights by it, whose rounding has no shift yet; gives the shift. */
int fj_int8_learn(fj_int8_engine *engine, fj_int8_layer *layer, int batch, int mu, fj_int8_rounding how);

/* The largest magnitude that any thread has seen since the last call. */
uint32_t fj_int8_largest(const fj_int8_engine *engine);

/* Walks over the pixels of a batch of images. */
typedef struct {
    size_t n, y, x;
} fj_int8_place;

static inline fj_int8_place fj_int8_place_of(size_t pixel, size_t h, size_t w) {
    return (fj_int8_place){pixel / (h * w), pixel / w % h, pixel % w};
}

static inline void fj_int8_advance(fj_int8_place *place, size_t h, size_t w) {
    if (++place->x < w) return;
    place->x = 0;
    if (++place->y < h) return;
    place->y = 0, place->n++;
}

static inline const uint8_t *fj_int8_window(const fj_int8_grid *grid, fj_int8_place place) {
    return grid->at + place.n * grid->image + place.y * grid->line + place.x * grid->pixel;
}

static inline uint8_t *fj_int8_pixel_of(const fj_int8_grid *grid, size_t image, size_t y, size_t x) {
    size_t border = (size_t)grid->border;
    return grid->at + image * grid->image + (y + border) * grid->line + (x + border) * grid->pixel;
}

/* The same for a layer of planes, whose memory is its own; bytes that a thread needs, and of sums that a plane has. */
int fj_int8_plane_make(fj_int8_layer *layer, int batch);
void fj_int8_plane_free(fj_int8_layer *layer);
size_t fj_int8_plane_room(const fj_int8_layer *layer);
size_t fj_int8_plane_apart(const fj_int8_layer *layer);
uint32_t fj_int8_plane_forward(fj_int8_engine *engine, fj_int8_layer *layer, int batch);
void fj_int8_plane_activate(fj_int8_engine *engine, fj_int8_layer *layer, int batch, const fj_int8_rounding *how);
/* A line of errors of the pooled output, `stride` apart, to the winners' places. */
void fj_int8_plane_spread(const fj_int8_layer *layer, size_t image, size_t y, const int8_t *errors, size_t stride,
                          int8_t *room);
uint32_t fj_int8_plane_gradient(fj_int8_engine *engine, const fj_int8_layer *layer, int batch);

/* Whether a layer's way back should go by lines, and it by lines; bytes of its weights, and numbers of a line of sums. */
int fj_int8_lines_pay(const fj_int8_layer *layer);
size_t fj_int8_lines_bytes(const fj_int8_layer *layer);
size_t fj_int8_lines_line(const fj_int8_layer *layer);
void fj_int8_lines_reach(const fj_int8_layer *layer, fj_int8_reach *reach);
uint32_t fj_int8_lines_back(fj_int8_engine *engine, const fj_int8_layer *layer, int batch);

/* Sums -> the next layer's input (or the logits), with ReLU and pool. */
void fj_int8_activate(fj_int8_engine *engine, int layer, int batch, const fj_int8_rounding *how);
/* Sums of the error of a layer's input -> the error of the sums of the layer before it. */
void fj_int8_pass_back(fj_int8_engine *engine, int layer, int batch, const fj_int8_rounding *how);
/* A batch's images to the first layer's input; errors of the logits to the last layer's. */
void fj_int8_take_input(fj_int8_engine *engine, const int8_t *input, int batch);
void fj_int8_take_error(fj_int8_engine *engine, const int8_t *errors, int batch);

/* Integer cross-entropy: 128 (softmax - one-hot), rounded to int8, for [batch][classes] mantissas. */
void fj_int8_loss_error(const fj_int8_kernels *kernels, fj_int8_room *room, const int8_t *logits, int exponent,
                        const int32_t *labels, int batch, int classes, const fj_int8_rounding *how, int8_t *errors);
/* The mean cross-entropy in floats, and how many labels have the largest logit. */
int fj_int8_judge_logits(const fj_int8_kernels *kernels, const int8_t *logits, int exponent, const int32_t *labels,
                         int batch, int classes, float *loss);

#endif
