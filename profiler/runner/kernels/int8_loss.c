/* The integer cross-entropy of NITI, and the loss in floats for reports. */
#include <math.h>

#include "int8_engine.h"
#include "rounding.h"

#define LOG2_E_15 47274 /* log2 of Euler's number, times 2^15 */
/* Beyond these exponents nothing changes: above, every difference is out of range; below, all logits are as one. */
#define LEAST_EXPONENT -20
#define MOST_EXPONENT 20

/* 2^x - 1 of logits in steps of 1, 10 below the row's largest at least. */
static int64_t power(int64_t y, int64_t largest) {
    int64_t above = y - largest + 10;
    return above > 0 ? ((int64_t)1 << above) - 1 : 0;
}

static int64_t in_powers(int mantissa, int exponent) {
    int64_t y = (int64_t)LOG2_E_15 * mantissa / 32768;
    return exponent < 0 ? y / ((int64_t)1 << -exponent) : y * ((int64_t)1 << exponent);
}

/* A row's p, from which the share of each class follows. */
static int64_t weigh(int mantissa, int exponent, int64_t largest) {
    if (exponent > -7) return power(in_powers(mantissa, exponent), largest);
    int64_t one = (int64_t)1 << -exponent;
    return 2 * one * one + 2 * one * mantissa + (int64_t)mantissa * mantissa;
}

static int32_t rounded(int32_t share, const fj_int8_rounding *how, uint32_t place) {
    if (how->rounding == FJ_NEAREST) return fj_round_nearest(share, how->shift);
    if (how->rounding == FJ_PSEUDO_STOCHASTIC) return fj_round_pseudo(share, how->shift);
    return fj_round_stochastic(share, how->shift, how->key, place);
}

void fj_int8_loss_error(const int8_t *logits, int exponent, const int32_t *labels, int batch, int classes,
                        const fj_int8_rounding *how, int8_t *errors) {
    exponent = exponent < LEAST_EXPONENT ? LEAST_EXPONENT : exponent > MOST_EXPONENT ? MOST_EXPONENT : exponent;
    uint32_t place = 0;
    for (int n = 0; n < batch; n++, logits += classes, errors += classes) {
        int most = -127;
        int64_t sum = 0, shares = 0;
        for (int i = 0; i < classes; i++) most = logits[i] > most ? logits[i] : most;
        int64_t largest = in_powers(most, exponent);
        for (int i = 0; i < classes; i++) sum += weigh(logits[i], exponent, largest);
        for (int i = 0; i < classes; i++) shares += 2048 * weigh(logits[i], exponent, largest) / sum;
        for (int i = 0; i < classes; i++, place++) {
            int32_t share = (int32_t)(2048 * weigh(logits[i], exponent, largest) / sum);
            if (i == labels[n]) share -= (int32_t)shares;
            errors[i] = (int8_t)fj_clip127(rounded(share, how, place));
        }
    }
}

int fj_int8_judge_logits(const int8_t *logits, int exponent, const int32_t *labels, int batch, int classes,
                         float *loss) {
    int right = 0;
    double total = 0.0, scale = ldexp(1.0, exponent < -100 ? -100 : exponent > 100 ? 100 : exponent);
    for (int n = 0; n < batch; n++, logits += classes) {
        int best = 0;
        for (int i = 1; i < classes; i++) best = logits[i] > logits[best] ? i : best;
        right += best == labels[n];
        if (!loss) continue;
        double sum = 0.0;
        for (int i = 0; i < classes; i++) sum += (double)expf((float)((logits[i] - logits[best]) * scale));
        total += log(sum) - (logits[labels[n]] - logits[best]) * scale;
    }
    if (loss) *loss = (float)(total / batch);
    return right;
}
