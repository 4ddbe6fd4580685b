/* Layers of the fast FP32 engine: where their numbers lie, and what a set of vector kernels offers.
 *
 * Activations are NHWC and zero-padded as the layer that reads them needs it, so that the inputs of an output are
 * `kernel` runs of kernel * channels neighbours. Weights of a convolution are packed in blocks of output channels:
 * block, ky, run, channel of the block. Those of a fully connected layer are cut into columns, each a stack of rows: no
 * two threads write to neighbours.
 */
#ifndef FJ_FLOAT_LAYER_H
#define FJ_FLOAT_LAYER_H

#include "engine.h"

#define FJ_THIN 16    /* a run is thin below this, */
#define FJ_MOST_THIN 64 /* if an output has no more inputs than that */
#define FJ_CELLS 48   /* pooled places whose inputs a thin layer copies at once */
#define FJ_NEAR 49152 /* bytes of the nearest cache that a row of a sparse layer's weights may take */
#define FJ_LISTED 64  /* pooled places from which on the zeros among the errors are left out */
#define FJ_WINNERS 10 /* floats that a list of winners takes */
#define FJ_SLACK 64   /* floats behind every buffer: what may be read past its end, never used */
#define FJ_PLACES 256 /* places of one sum of a weight's gradient */
#define FJ_ROWS 4     /* rows of weights that a fully connected layer takes at once */
#define FJ_FULL_TASK 32 /* outputs of a fully connected layer's task, forward */
#define FJ_COLUMNS 448  /* most inputs of one on the way back */

/* A tensor of images; place p of image n begins at data[n * image + at[p]]. */
typedef struct {
    float *data;
    size_t image;
    int32_t *at;
} fj_field;

typedef struct fj_float_kernels fj_float_kernels;

typedef struct fj_float_layer {
    fj_layer shape;
    const fj_float_kernels *kernels;
    struct fj_float_layer *below; /* NULL for the first */
    int threads, batch_size, batch; /* batch: of the present step */
    float rate;
    int channels;     /* output channels, in whole vectors */
    int width;        /* of a block of them */
    int back_width;   /* of a block of input channels */
    int chunks, back_chunks; /* pieces that the tasks of a block are cut into, so that every thread has work */
    int rows, run;    /* convolution: runs of inputs of an output, and numbers of a run: kernel, kernel * channels */
    int thin;         /* runs so short that the inputs of an output are copied to one: rows is 1 */
    int sparse;       /* the way back follows the pool's winners: the weights are few enough for the nearest cache */
    int plane;        /* sparse, of one channel, and wide enough for vectors of places */
    int winograd;     /* sparse, with a kernel of five and rows of whole fours */
    int group;        /* sparse: channels that learn together, whole vectors */
    int span;         /* sparse: a run in whole vectors */
    int places;       /* of an image before the pool: those that the pool takes, in windows of four */
    int cells;        /* of an image after the pool */
    size_t columns;   /* fully connected: inputs of a task on the way back; their weights lie together, row by row, */
    size_t stacked;   /* in so many rows */
    size_t row;       /* floats of an input row; of an input if fully connected */
    size_t error_row; /* floats of a row of errors */
    fj_field input;   /* at: the first input of each place */
    int widened;      /* sparse: runs are copied so that each begins with a whole vector */
    fj_field wide;    /* sparse: `input`, or if widened or thin the copy of it in a thread's scratch; at: as there;
                         plane: at: the first input of each cell */
    size_t wide_row;
    fj_field inner;   /* the tensor of `input` without its padding: what the layer below writes, by rows */
    fj_field error;   /* of the output before the pool, padded for the way back; at: as in `input`;
                         sparse: of the pooled output, not padded */
    fj_field back;    /* the same tensor; at: the first of the errors that each input took part in */
    float *own_back;  /* fully connected: the error of its input, unless the layer below keeps it */
    unsigned char *winner; /* which of its four each pooled value is; [image, cell, channels]; plane: by channel */
    float *weights, *bias; /* the bias is there, as zeros, even if the network has none */
    float *gradient;       /* convolution: a sum over several groups of places */
    float *points;         /* winograd: the weights at its eight points */
    float *by_row;         /* sparse: the weights again (winograd: the only ones), as row, output channel, span */
    float *own;            /* fully connected: what each task on the way back keeps for itself */
    int *order;            /* fully connected: how many outputs have an error, and which, as they are taken */
    unsigned char *masks;  /* fully connected: the images in which each output has one */
    float *const *scratch; /* a room for each thread */
    int learns_bias;
    fj_field out; /* `inner` of the next layer, or the logits */
} fj_float_layer;

/* The kernels of a path. Every task takes the layer as its context. */
struct fj_float_kernels {
    int lanes;
    int (*width)(int channels); /* of a block of that many output channels */
    void (*conv_forward)(void *layer, int task, int thread);
    void (*conv_error)(void *layer, int task, int thread);
    void (*conv_gradient)(void *layer, int task, int thread);
    void (*plane_forward)(void *layer, int task, int thread); /* sparse: one image */
    void (*plane_gradient)(void *layer, int task, int thread);
    void (*winograd_weights)(void *layer, int task, int thread); /* one block */
    void (*winograd_forward)(void *layer, int task, int thread); /* one image */
    void (*winners_forward)(void *layer, int task, int thread);
    void (*winners_error)(void *layer, int task, int thread); /* sparse: one image */
    void (*winners_gradient)(void *layer, int task, int thread);
    void (*full_forward)(void *layer, int task, int thread);
    void (*full_order)(void *layer, int task, int thread); /* one task */
    void (*full_backward)(void *layer, int task, int thread);
    void (*spread)(void *layer, int task, int thread); /* the error of a fully connected layer's input: one image */
};

extern const fj_float_kernels fj_float_avx512, fj_float_avx2, fj_float_neon;

/* Makes a layer; weights are zeros. Returns 0, or -1 if memory is short. `scratch` gets its pointer later. */
int fj_float_layer_make(fj_float_layer *at, const fj_layer *shape, const fj_float_kernels *kernels, int batch, int bias,
                        int threads, fj_float_layer *below);
void fj_float_layer_free(fj_float_layer *at);
size_t fj_float_layer_scratch(const fj_float_layer *at); /* floats that each thread needs */
void fj_float_layer_set(fj_float_layer *at, const float *weights);
int fj_float_layer_regions(fj_float_layer *at, fj_region *regions);
void fj_float_layer_get(const fj_float_layer *at, float *weights);
int fj_float_layer_finite(const fj_float_layer *at); /* whether all weights and biases are */
float *fj_float_array(size_t count); /* zeros, aligned to 64 bytes, with slack; NULL if memory is short */

static inline int fj_blocks(int channels, int width) {
    return (channels + width - 1) / width;
}

#endif
