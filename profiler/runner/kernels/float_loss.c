#include "float_loss.h"

#include <math.h>
#include <string.h>

/* e^x for x <= 0 to about one part in 10^7: 2^n times a polynomial, without a call, so that a loop of it vectorizes. */
static inline float exp_below_zero(float x) {
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

int fj_float_loss(const float *logits, const int32_t *labels, int batch, int classes, size_t stride, float *gradient,
                  size_t gradient_stride, float *loss) {
    double total = 0.0;
    int right = 0;
    for (int n = 0; n < batch; n++) {
        const float *z = logits + (size_t)n * stride;
        float *g = gradient + (size_t)n * gradient_stride;
        float largest = z[0], sum = 0.0f;
        int best = 0;
        for (int o = 1; o < classes; o++) {
            if (z[o] > largest) largest = z[o], best = o;
        }
        right += best == labels[n];
        for (int o = 0; o < classes; o++) g[o] = exp_below_zero(z[o] - largest);
        for (int o = 0; o < classes; o++) sum += g[o];
        float scale = 1.0f / (sum * (float)batch);
        for (int o = 0; o < classes; o++) g[o] *= scale;
        g[labels[n]] -= 1.0f / (float)batch;
        total += (double)logf(sum) - (double)(z[labels[n]] - largest);
    }
    if (loss) *loss = (float)(total / batch);
    return right;
}
