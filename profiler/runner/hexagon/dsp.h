/* INT8 training on a Hexagon DSP: the kernels of one step, with HVX vectors of 128 bytes and without.
 *
 * Activations and errors are NHWC with the channels padded by zeros to a multiple of 4, so that 4 channels are one
 * word. Accumulators have their channels padded to a multiple of 32, one vector of words. Every tensor begins on a
 * multiple of 128 bytes and is followed by FJ_DSP_SLACK bytes: vectors read and write past the end.
 */
#ifndef FJ_DSP_H
#define FJ_DSP_H

#include <stddef.h>
#include <stdint.h>

#include "../kernels/rounding.h"

#define FJ_DSP_SLACK 1024

/* A convolution of stride 1. A fully connected layer is one of 1x1 images: its inputs are the channels. */
typedef struct {
    int batch, h, w, c; /* of the input, without its padding */
    int o, kernel, pad;
} fj_dsp_shape;

static inline int fj_dsp_up(int n, int to) {
    return (n + to - 1) / to * to;
}
static inline int fj_dsp_out_h(const fj_dsp_shape *shape) {
    return shape->h + 2 * shape->pad - shape->kernel + 1;
}
static inline int fj_dsp_out_w(const fj_dsp_shape *shape) {
    return shape->w + 2 * shape->pad - shape->kernel + 1;
}
/* Positions of the output: rows of its accumulators. */
static inline int fj_dsp_positions(const fj_dsp_shape *shape) {
    return shape->batch * fj_dsp_out_h(shape) * fj_dsp_out_w(shape);
}
/* Bytes of one row (one ky) of a filter, and words of it in a gradient. */
static inline int fj_dsp_row(const fj_dsp_shape *shape) {
    return shape->kernel * fj_dsp_up(shape->c, 4);
}
/* The convolution that takes the errors of the output back to the input. */
static inline fj_dsp_shape fj_dsp_mirrored(const fj_dsp_shape *shape) {
    return (fj_dsp_shape){shape->batch, fj_dsp_out_h(shape), fj_dsp_out_w(shape), shape->o, shape->c, shape->kernel,
                          shape->kernel - 1 - shape->pad};
}
/* Eq. 2 of the paper: the largest entry of a gradient keeps mu bits. Shifts beyond 31 would leave nothing of it. */
static inline int fj_dsp_update_shift(uint32_t largest, int mu) {
    const int shift = fj_bit_width(largest) - mu;
    return shift < 0 ? 0 : shift > 31 ? 31 : shift;
}
/* Bytes that forward, error and gradient of this shape need beside their tensors. */
size_t fj_dsp_scratch(const fj_dsp_shape *shape);

typedef struct {
    /* accumulators [positions][up32(o)] of the padded image and the weights [o][kernel][row] */
    void (*forward)(const fj_dsp_shape *shape, const int8_t *image, const int8_t *weights, int32_t *out, void *scratch);
    /* accumulators [batch*h*w][up32(c)] of the errors, padded by kernel-1-pad, and the flipped weights */
    void (*error)(const fj_dsp_shape *shape, const int8_t *errors, const int8_t *weights, int32_t *out, void *scratch);
    /* gradient [o][kernel][up32(row)] of the padded image and the errors without padding */
    void (*gradient)(
        const fj_dsp_shape *shape, const int8_t *image, const int8_t *errors, int32_t *gradient, void *scratch);
    /* the largest magnitude; count is a multiple of 32 */
    uint32_t (*largest)(const int32_t *x, size_t count);
    /* [rows][up32(channels)] -> [rows][up4(channels)], to nearest, clipped to +-127 */
    void (*requantize)(const int32_t *x, int rows, int channels, int shift, int8_t *out);
    /* Eq. 2 with fj_dsp_update_shift, pseudo-stochastic: [rows][up32(width)] off the weights [rows][width], clipped */
    void (*update)(const int32_t *gradient, int rows, int width, int shift, int8_t *weights);
    void (*relu)(int8_t *x, size_t count);
    /* 2x2; where: which of the four came first among the largest; an odd row or column is dropped */
    void (*pool)(const int8_t *in, int batch, int h, int w, int c, int8_t *out, int8_t *where);
    /* errors of the pooled output, where that is above 0, to the place of its maximum */
    void (*unpool)(const int8_t *errors, const int8_t *pooled, const int8_t *where, int batch, int h, int w, int c,
                   int8_t *out);
    /* errors where the output of the ReLU is above 0 */
    void (*mask)(int8_t *errors, const int8_t *out, size_t count);
    /* [batch][h][w][c] into the middle of zeros */
    void (*pad)(const int8_t *in, int batch, int h, int w, int c, int pad, int8_t *out);
} fj_dsp_kernels;

extern const fj_dsp_kernels fj_dsp_hvx, fj_dsp_scalar;

#endif
