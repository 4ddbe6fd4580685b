/* The integer cross-entropy of NITI, and the loss in floats for reports. */
#include <math.h>

#include "int8_engine.h"
#include "rounding.h"

/* Beyond these exponents nothing changes: above, every difference is out of range; below, all logits are as one. */
#define LEAST_EXPONENT -20
#define MOST_EXPONENT 20
#define LEAST_OF_DOUBLES -16 /* below it, 2048 p needs more than a double's 53 bits */

/* The weight of a logit whose exponent is small: (1 + x)^2 + 1 of its value x, over 2^(2 * exponent). */
static int64_t weight(int mantissa, int exponent) {
    int64_t one = (int64_t)1 << -exponent;
    return 2 * one * one + 2 * one * mantissa + (int64_t)mantissa * mantissa;
}

static int32_t share_exactly(const int8_t *logits, int exponent, int classes, int32_t *shares) {
    int64_t sum = 0;
    int32_t all = 0;
    for (int i = 0; i < classes; i++) sum += weight(logits[i], exponent);
    for (int i = 0; i < classes; i++) all += shares[i] = (int32_t)(2048 * weight(logits[i], exponent) / sum);
    return all;
}

void fj_int8_loss_error(const fj_int8_kernels *kernels, fj_int8_room *room, const int8_t *logits, int exponent,
                        const int32_t *labels, int batch, int classes, const fj_int8_rounding *how, int8_t *errors) {
    fj_int8_rounding of_row = *how;
    exponent = exponent < LEAST_EXPONENT ? LEAST_EXPONENT : exponent > MOST_EXPONENT ? MOST_EXPONENT : exponent;
    for (int n = 0; n < batch; n++, logits += classes, errors += classes, of_row.place += (uint32_t)classes) {
        int32_t all;
        if (exponent < LEAST_OF_DOUBLES) {
            all = share_exactly(logits, exponent, classes, room->shares);
        } else {
            double sum = kernels->weigh(logits, (size_t)classes, exponent, room->weights);
            all = kernels->share(room->weights, (size_t)classes, sum, room->shares);
        }
        room->shares[labels[n]] -= all;
        kernels->rescale(room->shares, 1, 0, (size_t)classes, 0, &of_row, errors);
    }
}

int fj_int8_judge_logits(const fj_int8_kernels *kernels, const int8_t *logits, int exponent, const int32_t *labels,
                         int batch, int classes, float *loss) {
    int right = 0;
    double total = 0.0, scale = ldexp(1.0, exponent < -100 ? -100 : exponent > 100 ? 100 : exponent);
    for (int n = 0; n < batch; n++, logits += classes) {
        int best = kernels->largest_logit(logits, (size_t)classes);
        right += best == labels[n];
        if (!loss) continue;
        double log_of_sum = kernels->log_of_sum(logits, (size_t)classes, logits[best], (float)scale);
        total += log_of_sum - (logits[labels[n]] - logits[best]) * scale;
    }
    if (loss) *loss = (float)(total / batch);
    return right;
}
