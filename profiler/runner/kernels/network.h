/* A network: its model and the engine of its precision. */
#ifndef FJ_NETWORK_H
#define FJ_NETWORK_H

#include "engine.h"

struct fj_network {
    fj_model model;
    fj_precision precision;
    fj_path path;
    int bias, batch_size;
    fj_pool *pool;
    fj_float_engine *in_float;
    fj_int8_engine *in_int8;
    void *weights; /* room for the weights of the largest layer */
    char *kept;    /* a copy of all weights, in the engine's own order */
    void *input;   /* a batch as the engine reads it, and its labels: there once batches were gathered */
};

/* Numbers of a layer's weights and biases. */
static inline size_t fj_values_of(const fj_network *network, int layer) {
    const fj_layer *of = &network->model.layer[layer];
    return of->weights + (network->bias ? (size_t)of->out_c : 0);
}

#endif
