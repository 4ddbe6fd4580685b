/* Template: passes of the cross-entropy over a row of logits, included by the passes. */

/* log2 of Euler's number, times 2^15 */
#define LOG2_E_15 47274

/* Logits in steps of 1 / log2(e), cut towards zero. */
INLINE int32_t in_powers(int32_t mantissa, int exponent) {
    int32_t y = LOG2_E_15 * mantissa / 32768;
    return exponent < 0 ? (y + (y >> 31 & ((1 << -exponent) - 1))) >> -exponent : y * (1 << exponent);
}

/* Sums of whole numbers, which a double holds: their order makes no difference. */
#define SUMS 8

static double weigh(const int8_t *restrict logits, size_t classes, int exponent, double *restrict p) {
    double sum[SUMS] = {0};
    if (exponent > -7) {
        int32_t most = -127;
        for (size_t i = 0; i < classes; i++) most = logits[i] > most ? logits[i] : most;
        const int32_t least = in_powers(most, exponent) - 10; /* 2^x - 1, 10 below the row's largest at least */
        for (size_t i = 0; i < classes; i++) {
            int32_t above = in_powers(logits[i], exponent) - least;
            p[i] = (double)((1 << (above > 0 ? above : 0)) - 1);
        }
    } else {
        const double one = (double)(1 << -exponent);
        for (size_t i = 0; i < classes; i++) p[i] = 2 * one * one + 2 * one * logits[i] + (double)(logits[i] * logits[i]);
    }
    size_t whole = classes / SUMS * SUMS;
    for (size_t i = 0; i < whole; i += SUMS)
        for (size_t j = 0; j < SUMS; j++) sum[j] += p[i + j];
    for (size_t i = whole; i < classes; i++) sum[0] += p[i];
    for (size_t j = 1; j < SUMS; j++) sum[0] += sum[j];
    return sum[0];
}

/* A quotient of whole numbers below 2^52 is never rounded up to the next whole number. */
static int32_t share(const double *restrict p, size_t classes, double sum, int32_t *restrict shares) {
    int32_t all = 0;
    for (size_t i = 0; i < classes; i++) {
        shares[i] = (int32_t)(2048.0 * p[i] / sum);
        all += shares[i];
    }
    return all;
}

static double log_of_sum(const int8_t *logits, size_t classes, int most, float scale) {
    float of_few[64];
    double sum = 0.0;
    for (size_t first = 0; first < classes; first += 64) {
        size_t few = classes - first < 64 ? classes - first : 64;
        for (size_t i = 0; i < few; i++) of_few[i] = fj_exp_below_zero((float)(logits[first + i] - most) * scale);
        for (size_t i = 0; i < few; i++) sum += (double)of_few[i];
    }
    return log(sum);
}

static int largest_logit(const int8_t *logits, size_t classes) {
    int8_t most = -128;
    for (size_t i = 0; i < classes; i++) most = logits[i] > most ? logits[i] : most;
    return (int)((const int8_t *)memchr(logits, most, classes) - logits);
}
