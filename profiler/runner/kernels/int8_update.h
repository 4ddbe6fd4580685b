/* Template: what weights and floats become, included by the passes. */

/* An update beyond +-254 moves any weight to its limit. */
INLINE int16_t narrow(int32_t update) {
    return (int16_t)(update > 254 ? 254 : update < -254 ? -254 : update);
}

/* One step: four rows of changes, then the weights between which they stand. */
INLINE void update_step(const int32_t *gradient, size_t stride, fj_rounding rounding, int s, uint32_t key,
                        const uint32_t first[4], uint32_t apart, int8_t *weights) {
    int16_t change[4][COLUMNS];
    for (int r = 0; r < 4; r++, gradient += stride) {
        for (uint32_t c = 0; c < COLUMNS; c++) {
            int32_t x = gradient[c];
            if (rounding == FJ_NEAREST) change[r][c] = narrow(fj_round_nearest(x, s));
            else if (rounding == FJ_PSEUDO_STOCHASTIC) change[r][c] = narrow(fj_round_pseudo(x, s));
            else change[r][c] = narrow(fj_round_stochastic(x, s, key, first[r] + c * apart));
        }
    }
    for (int c = 0; c < COLUMNS; c++)
        for (int r = 0; r < 4; r++) weights[4 * c + r] = (int8_t)fj_clip127(weights[4 * c + r] - change[r][c]);
}

static void update(const int32_t *gradient, size_t stride, size_t steps, const fj_int8_rounding *how, uint32_t largest,
                   const uint32_t *place, size_t apart, int8_t *restrict weights) {
    const int s = how->shift;
#ifdef SWIFT_UPDATE
    if (how->rounding == FJ_PSEUDO_STOCHASTIC && s > 0 && largest >> s < 127) {
        swift_update(gradient, stride, steps, s, largest, weights);
        return;
    }
#endif
    (void)largest;
    for (; steps > 0; steps--, gradient += 4 * stride, weights += 4 * COLUMNS, place += 4) {
        uint32_t first[4];
        for (int r = 0; r < 4; r++) first[r] = how->place + place[r];
        if (s <= 0) update_step(gradient, stride, FJ_NEAREST, 0, 0, first, 0, weights);
        else if (how->rounding == FJ_NEAREST) update_step(gradient, stride, FJ_NEAREST, s, 0, first, 0, weights);
        else if (how->rounding == FJ_PSEUDO_STOCHASTIC)
            update_step(gradient, stride, FJ_PSEUDO_STOCHASTIC, s, 0, first, 0, weights);
        else update_step(gradient, stride, FJ_STOCHASTIC, s, how->key, first, (uint32_t)apart, weights);
    }
}

#define FEW ((size_t)64)

/* The bits of a float; of one that is not finite, those of 0. */
INLINE uint32_t finite_bits(const float *x) {
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    return (bits & 0x7fffffffu) < 0x7f800000u ? bits : 0;
}

/* In two factors: one alone could be out of a float's range. Growing is exact, and what shrinks to nothing is 0. Steps of
 * their own for a few values at a time: compilers find vectors in them. */
INLINE void scale_few(const float *restrict x, float first, float second, int8_t *restrict mantissas, size_t few) {
    float value[FEW];
    int32_t whole[FEW];
    for (size_t i = 0; i < few; i++) {
        uint32_t bits = finite_bits(x + i);
        float finite;
        memcpy(&finite, &bits, sizeof finite);
        value[i] = finite * first * second;
    }
    for (size_t i = 0; i < few; i++) whole[i] = (int32_t)value[i];
    for (size_t i = 0; i < few; i++) {
        float rest = value[i] - (float)whole[i];
        whole[i] += (rest >= 0.5f) - (rest <= -0.5f);
    }
    for (size_t i = 0; i < few; i++) mantissas[i] = (int8_t)fj_clip127(whole[i]);
}

static int quantize(const float *restrict x, size_t count, int8_t *restrict mantissas) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t magnitude = finite_bits(x + i) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    float most;
    int width;
    memcpy(&most, &largest, sizeof most);
    if (largest == 0) {
        memset(mantissas, 0, count);
        return 0;
    }
    if (frexpf(most, &width) == 0.5f) width--;
    const int exponent = width - 7;
    const float first = ldexpf(1.0f, -exponent / 2), second = ldexpf(1.0f, -exponent - -exponent / 2);
    size_t i = 0;
    for (; i + FEW <= count; i += FEW) scale_few(x + i, first, second, mantissas + i, FEW);
    scale_few(x + i, first, second, mantissas + i, count - i);
    return exponent;
}
