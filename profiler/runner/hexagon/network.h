/* A training step of a whole network on the DSP: forward, integer cross-entropy, backward, update. */
#ifndef FJ_DSP_NETWORK_H
#define FJ_DSP_NETWORK_H

#include "../kernels/model.h"
#include "counters.h"
#include "dsp.h"

/* What a step is made of, for the counts: `move` is padding, ReLU and pools, both ways. */
enum { FJ_FORWARD, FJ_ERROR, FJ_GRADIENT, FJ_REQUANTIZE, FJ_UPDATE, FJ_MOVE, FJ_LOSS, FJ_OPERATIONS };

typedef struct {
    int exponent;                  /* of the layer's output */
    int activation, error, update; /* shifts; error is -1 for the first layer */
    fj_counts counts[FJ_OPERATIONS];
} fj_dsp_report;

typedef struct fj_dsp_network fj_dsp_network;

/* Reads the sizes of a layer as the DSP has them. */
fj_dsp_shape fj_dsp_shape_of(const fj_layer *layer, int batch);

/* NULL when memory is short. The model must outlive the network. */
fj_dsp_network *fj_dsp_network_new(const fj_model *model, int batch, const fj_dsp_kernels *kernels);
void fj_dsp_network_free(fj_dsp_network *network);
/* Weights and gradients in O, ky, kx, C order without padding. */
void fj_dsp_set_weights(fj_dsp_network *network, int layer, const int8_t *weights, int exponent);
void fj_dsp_get_weights(const fj_dsp_network *network, int layer, int8_t *weights);
void fj_dsp_get_gradient(const fj_dsp_network *network, int layer, int32_t *gradient);
/* One step. The input is [batch, h, w, c] of the model without padding. Nearest rounding, PSTO for loss and update. */
void fj_dsp_train(fj_dsp_network *network, const int8_t *input, int exponent, const int32_t *labels, int mu_conv,
                  int mu_fc);
/* Of the last step: [batch, classes]. */
void fj_dsp_get_logits(const fj_dsp_network *network, int8_t *logits);
void fj_dsp_get_loss_gradient(const fj_dsp_network *network, int8_t *gradient);
fj_dsp_report fj_dsp_report_of(const fj_dsp_network *network, int layer);

/* The integer gradient of the cross-entropy, rows of `stride` bytes. */
void fj_dsp_loss(const int8_t *logits, int exponent, const int32_t *labels, int batch, int classes, int stride,
                 int8_t *errors);

#endif
