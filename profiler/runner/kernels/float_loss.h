/* The softmax cross-entropy of a batch, the mean over its images. */
#ifndef FJ_FLOAT_LOSS_H
#define FJ_FLOAT_LOSS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* e^x for x <= 0 to about one part in 10^7: 2^n times a polynomial, without a call, so that a loop of it vectorizes. */
static inline __attribute__((always_inline)) float fj_exp_below_zero(float x) {
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: adding it leaves the rounded number in the low bits */
    x = x < -87.0f ? -87.0f : x;
    float shifted = x * 1.44269504f + to_integer, n = shifted - to_integer;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 4.16666438e-2f + r * (8.33345977e-3f + r * 1.39388491e-3f);
    p = 1.0f + r * (1.0f + r * (0.5f + r * (1.66666666e-1f + r * p)));
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* Writes the gradient (softmax - one-hot) / batch; rows are a stride apart. Returns how many were right:
 * the first of the largest logits is the answer. The mean loss goes to `loss` if it is not NULL. */
int fj_float_loss(const float *logits, const int32_t *labels, int batch, int classes, size_t stride, float *gradient,
                  size_t gradient_stride, float *loss);

#endif
