#include "float_loss.h"

#include <math.h>

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
        for (int o = 0; o < classes; o++) g[o] = fj_exp_below_zero(z[o] - largest);
        for (int o = 0; o < classes; o++) sum += g[o];
        float scale = 1.0f / (sum * (float)batch);
        for (int o = 0; o < classes; o++) g[o] *= scale;
        g[labels[n]] -= 1.0f / (float)batch;
        total += (double)logf(sum) - (double)(z[labels[n]] - largest);
    }
    if (loss) *loss = (float)(total / batch);
    return right;
}
