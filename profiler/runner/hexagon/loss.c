/* The gradient of the cross-entropy in integers: 128 * (softmax - one at the label), as bytes. */
#include "network.h"

#define LOG2_E 47274 /* log2 of Euler's number times 2^15 */

/* 2^y' - 1 of logits whose largest is set to 10 */
static void powers(const int8_t *m, int exponent, int classes, int64_t *p) {
    int64_t most = INT64_MIN;
    for (int i = 0; i < classes; i++) {
        p[i] = LOG2_E * m[i] / (1 << 15);
        p[i] = exponent < 0 ? p[i] / (1 << -exponent) : p[i] * ((int64_t)1 << exponent);
        most = p[i] > most ? p[i] : most;
    }
    for (int i = 0; i < classes; i++) {
        const int64_t y = p[i] - most + 10;
        p[i] = y > 0 ? ((int64_t)1 << y) - 1 : 0;
    }
}

/* 2^(1-2e) exp(m 2^e) to the second order, for logits below 1 */
static void taylor(const int8_t *m, int exponent, int classes, int64_t *p) {
    for (int i = 0; i < classes; i++)
        p[i] = ((int64_t)1 << (1 - 2 * exponent)) + m[i] * ((int64_t)1 << (1 - exponent)) + m[i] * m[i];
}

void fj_dsp_loss(const int8_t *logits, int exponent, const int32_t *labels, int batch, int classes, int stride,
                 int8_t *errors) {
    /* Beyond these the powers leave 64 bits, and the gradient does not change any more. */
    exponent = exponent < -20 ? -20 : exponent > 20 ? 20 : exponent;
    for (int n = 0; n < batch; n++, logits += stride, errors += stride) {
        int64_t p[classes], sum = 0, total = 0;
        if (exponent > -7)
            powers(logits, exponent, classes, p);
        else
            taylor(logits, exponent, classes, p);
        for (int i = 0; i < classes; i++) sum += p[i];
        for (int i = 0; i < classes; i++) total += p[i] = 2048 * p[i] / sum;
        p[labels[n]] -= total;
        for (int i = 0; i < classes; i++) errors[i] = (int8_t)fj_clip127(fj_round_pseudo((int32_t)p[i], 4));
        for (int i = classes; i < stride; i++) errors[i] = 0;
    }
}
