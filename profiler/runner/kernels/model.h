/* A network as a list of layers: a convolution or a fully connected layer, with its ReLU and its pool. */
#ifndef FJ_MODEL_H
#define FJ_MODEL_H

#include <stddef.h>

#include "fedjoule.h"

#define FJ_MOST_LAYERS 64
#define FJ_CONV 0
#define FJ_FC 1

typedef struct {
    int h, w, c; /* of the input */
    int classes;
    int layers;
    fj_layer layer[FJ_MOST_LAYERS];
} fj_model;

/* Reads "lenet5", "vgg11", "vgg16" or a description; `classes` > 0 replaces the outputs of a named model. Every
 * convolution and every fully connected layer but the last has a ReLU; a pool is 2x2 and drops an odd row. Returns 0, or
 * -1 with the reason in `error`. */
int fj_model_read(fj_model *model, const char *text, int classes, char *error, size_t error_bytes);

/* Height and width of a layer's output before its pool. */
static inline int fj_conv_h(const fj_layer *layer) {
    return layer->kind == FJ_FC ? 1 : layer->in_h + 2 * layer->pad - layer->kernel + 1;
}
static inline int fj_conv_w(const fj_layer *layer) {
    return layer->kind == FJ_FC ? 1 : layer->in_w + 2 * layer->pad - layer->kernel + 1;
}
/* Inputs of one output: the length of a row of weights. */
static inline size_t fj_fan_in(const fj_layer *layer) {
    return layer->weights / (size_t)layer->out_c;
}

#endif
