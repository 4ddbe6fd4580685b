/* Template: passes over rows of sums and mantissas. Plain loops that the compiler turns into the instructions of the
 * file that includes them, which defines BIAS and COLUMNS (a multiple of 16). */

typedef uint8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint32_t Quads __attribute__((vector_size(16), aligned(1), may_alias));

#define LOW_BYTES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_BYTES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_PAIRS 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23
#define HIGH_PAIRS 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31

INLINE void interleave_16(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t flip,
                          uint8_t *out) {
    Bytes va = *(const Bytes *)a, vb = *(const Bytes *)b, vc = *(const Bytes *)c, vd = *(const Bytes *)d;
    Bytes ab = __builtin_shufflevector(va, vb, LOW_BYTES), cd = __builtin_shufflevector(vc, vd, LOW_BYTES);
    Bytes ef = __builtin_shufflevector(va, vb, HIGH_BYTES), gh = __builtin_shufflevector(vc, vd, HIGH_BYTES);
    *(Bytes *)out = __builtin_shufflevector(ab, cd, LOW_PAIRS) ^ flip;
    *(Bytes *)(out + 16) = __builtin_shufflevector(ab, cd, HIGH_PAIRS) ^ flip;
    *(Bytes *)(out + 32) = __builtin_shufflevector(ef, gh, LOW_PAIRS) ^ flip;
    *(Bytes *)(out + 48) = __builtin_shufflevector(ef, gh, HIGH_PAIRS) ^ flip;
}

static void interleave(const uint8_t *const row[4], size_t count, uint8_t flip, uint8_t *out) {
    const uint8_t *a = row[0], *b = row[1], *c = row[2], *d = row[3];
    for (size_t i = 0; i < count; i += 16) interleave_16(a + i, b + i, c + i, d + i, flip, out + 4 * i);
}

static void pack(const int8_t *weights, size_t stride, int runs, size_t run, size_t steps, int8_t *packed) {
    static const uint8_t zeros[COLUMNS];
    for (int of = 0; of < runs; of++) {
        const uint8_t *rows = (const uint8_t *)weights + (size_t)of * run * stride;
        for (size_t k = 0; k < 4 * steps; k += 4, packed += COLUMNS * 4) {
            const uint8_t *row[4];
            for (size_t j = 0; j < 4; j++) row[j] = k + j < run ? rows + (k + j) * stride : zeros;
            for (int i = 0; i < COLUMNS; i += 16)
                interleave_16(row[0] + i, row[1] + i, row[2] + i, row[3] + i, 0, (uint8_t *)packed + 4 * i);
        }
    }
}

static void pack_turned(const int8_t *weights, size_t stride, int used, size_t quads, int8_t *packed) {
    for (int i = 0; i < COLUMNS; i += 4) {
        const uint8_t *rows = (const uint8_t *)weights + (size_t)i * stride;
        uint8_t *out = (uint8_t *)packed + 4 * i;
        size_t q = 0;
        for (; i + 4 <= used && q + 4 <= quads; q += 4) {
            const uint8_t *at = rows + 4 * q;
            Quads a = *(const Quads *)at, b = *(const Quads *)(at + stride), c = *(const Quads *)(at + 2 * stride),
                  d = *(const Quads *)(at + 3 * stride);
            Quads ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
            Quads ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            *(Quads *)(out + q * COLUMNS * 4) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
            *(Quads *)(out + (q + 1) * COLUMNS * 4) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
            *(Quads *)(out + (q + 2) * COLUMNS * 4) = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
            *(Quads *)(out + (q + 3) * COLUMNS * 4) = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
        }
        for (; q < quads; q++) {
            for (int j = 0; j < 4; j++) {
                uint8_t *to = out + q * COLUMNS * 4 + 4 * j;
                if (i + j < used) memcpy(to, rows + (size_t)j * stride + 4 * q, 4);
                else memset(to, 0, 4);
            }
        }
    }
}

static void rescale(const int32_t *restrict sums, size_t pixels, size_t stride, size_t channels, int relu,
                    const fj_int8_rounding *how, size_t place, int8_t *restrict out) {
    const int s = how->shift;
    const int32_t floor = relu ? 0 : INT32_MIN;
    const size_t count = (pixels - 1) * stride + channels;
    if (s <= 0 || how->rounding == FJ_NEAREST) {
        for (size_t i = 0; i < count; i++) {
            int32_t x = sums[i] < floor ? floor : sums[i];
            out[i] = (int8_t)fj_clip127(fj_round_nearest(x, s));
        }
    } else if (how->rounding == FJ_PSEUDO_STOCHASTIC) {
        for (size_t i = 0; i < count; i++) {
            int32_t x = sums[i] < floor ? floor : sums[i];
            out[i] = (int8_t)fj_clip127(fj_round_pseudo(x, s));
        }
    } else {
        for (size_t p = 0; p < pixels; p++, sums += stride, out += stride, place += channels) {
            for (size_t c = 0; c < channels; c++) {
                int32_t x = sums[c] < floor ? floor : sums[c];
                out[c] = (int8_t)fj_clip127(fj_round_stochastic(x, s, how->key, (uint32_t)(place + c)));
            }
        }
    }
}

static void pool(const int8_t *restrict upper, const int8_t *restrict lower, size_t pixels, size_t stride,
                 int8_t *restrict out, uint8_t *restrict winner) {
    for (size_t p = 0; p < pixels; p++, upper += 2 * stride, lower += 2 * stride, out += stride, winner += stride) {
        for (size_t c = 0; c < stride; c++) {
            int8_t best = upper[c];
            uint8_t which = 0;
            which = upper[stride + c] > best ? 1 : which, best = upper[stride + c] > best ? upper[stride + c] : best;
            which = lower[c] > best ? 2 : which, best = lower[c] > best ? lower[c] : best;
            which = lower[stride + c] > best ? 3 : which, best = lower[stride + c] > best ? lower[stride + c] : best;
            out[c] = best, winner[c] = which;
        }
    }
}

/* Whole vectors, the last one a second time over what the one before has done. */
#define EACH_16(i, count) \
    for (size_t i = 0; i < (count); i = (i + 32 > (count) && i + 16 < (count)) ? (count) - 16 : i + 16)

static void put(const int8_t *restrict from, size_t count, uint8_t flip, uint8_t *restrict to) {
    if (count < 16) {
        for (size_t i = 0; i < count; i++) to[i] = (uint8_t)from[i] ^ flip;
        return;
    }
    EACH_16(i, count) *(Bytes *)(to + i) = *(const Bytes *)(from + i) ^ flip;
}

static void mask(const uint8_t *restrict active, size_t count, int8_t *restrict errors) {
    for (size_t i = 0; i < count; i++) errors[i] = (int8_t)(active[i] ^ BIAS) > 0 ? errors[i] : 0;
}

static void unpool(const int8_t *errors, const uint8_t *winner, size_t count, uint8_t *const to[4]) {
    if (count < 16) {
        for (int k = 0; k < 4; k++)
            for (size_t i = 0; i < count; i++) to[k][i] = (uint8_t)((winner[i] == k ? errors[i] : 0) ^ BIAS);
        return;
    }
    EACH_16(i, count) {
        Bytes e = *(const Bytes *)(errors + i), w = *(const Bytes *)(winner + i);
        for (int k = 0; k < 4; k++) *(Bytes *)(to[k] + i) = (e & (Bytes)(w == (uint8_t)k)) ^ (uint8_t)BIAS;
    }
}

/* In wide integers: a gradient that is not shifted may be as large as the sums. */
INLINE int8_t less(int8_t weight, int32_t update) {
    int32_t most = update > 254 ? 254 : update < -254 ? -254 : update;
    return (int8_t)fj_clip127(weight - most);
}

static void update(const int32_t *restrict gradient, size_t rows, size_t columns, const fj_int8_rounding *how,
                   size_t place, size_t apart, int8_t *restrict weights) {
    const int s = how->shift;
    const size_t count = rows * columns;
    if (s <= 0) {
        for (size_t i = 0; i < count; i++) weights[i] = less(weights[i], gradient[i]);
    } else if (how->rounding == FJ_NEAREST) {
        for (size_t i = 0; i < count; i++) weights[i] = less(weights[i], fj_round_nearest(gradient[i], s));
    } else if (how->rounding == FJ_PSEUDO_STOCHASTIC) {
        for (size_t i = 0; i < count; i++) weights[i] = less(weights[i], fj_round_pseudo(gradient[i], s));
    } else {
        for (size_t r = 0; r < rows; r++, gradient += columns, weights += columns) {
            for (size_t c = 0; c < columns; c++) {
                uint32_t at = (uint32_t)(place + r + c * apart);
                weights[c] = less(weights[c], fj_round_stochastic(gradient[c], s, how->key, at));
            }
        }
    }
}

/* Values that are not finite count as 0. */
INLINE uint32_t finite_magnitude(const float *x) {
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    bits &= 0x7fffffffu;
    return bits < 0x7f800000u ? bits : 0;
}

static int quantize(const float *restrict x, size_t count, int8_t *restrict mantissas) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = finite_magnitude(x + i);
        largest = bits > largest ? bits : largest;
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
    /* In two factors: one alone could be out of a float's range. Growing is exact, and what shrinks to nothing is 0. */
    const float first = ldexpf(1.0f, -exponent / 2), second = ldexpf(1.0f, -exponent - -exponent / 2);
    for (size_t i = 0; i < count; i++) {
        float value = finite_magnitude(x + i) ? x[i] * first * second : 0.0f;
        int32_t whole = (int32_t)value;
        float rest = value - (float)whole;
        mantissas[i] = (int8_t)fj_clip127(whole + (rest >= 0.5f) - (rest <= -0.5f));
    }
    return exponent;
}

const fj_int8_kernels FJ_KERNELS = {
    .rows = ROWS, .columns = COLUMNS, .steps = STEPS, .bias = BIAS,
    .multiply = multiply, .accumulate = accumulate, .begin = begin, .pack = pack, .pack_turned = pack_turned,
    .interleave = interleave, .rescale = rescale, .pool = pool, .put = put, .mask = mask, .unpool = unpool,
    .update = update, .quantize = quantize,
};
