/* Template: passes over rows of sums and mantissas. Plain loops that the compiler turns into the instructions of the
 * file that includes them, which defines BIAS and COLUMNS (a multiple of 16); HAS_PLANES where planes and lines pay, and NARROW if
 * there are kernels with fewer columns. */

typedef uint8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef int8_t Signed __attribute__((vector_size(16)));

#define LOW_BYTES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_BYTES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_PAIRS 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23
#define HIGH_PAIRS 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31
#define TURNED 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15

INLINE Bytes bytes_at(const void *from) {
    return *(const Bytes *)from;
}

INLINE void bytes_to(void *to, Bytes x) {
    *(Bytes *)to = x;
}

/* The first eight of four rows -> out[8][4]; the first sixteen -> out[16][4]. */
INLINE void interleave_8(Bytes a, Bytes b, Bytes c, Bytes d, uint8_t *out) {
    Bytes ab = __builtin_shufflevector(a, b, LOW_BYTES), cd = __builtin_shufflevector(c, d, LOW_BYTES);
    bytes_to(out, __builtin_shufflevector(ab, cd, LOW_PAIRS));
    bytes_to(out + 16, __builtin_shufflevector(ab, cd, HIGH_PAIRS));
}

INLINE void interleave_16(Bytes a, Bytes b, Bytes c, Bytes d, uint8_t *out) {
    Bytes ab = __builtin_shufflevector(a, b, HIGH_BYTES), cd = __builtin_shufflevector(c, d, HIGH_BYTES);
    interleave_8(a, b, c, d, out);
    bytes_to(out + 32, __builtin_shufflevector(ab, cd, LOW_PAIRS));
    bytes_to(out + 48, __builtin_shufflevector(ab, cd, HIGH_PAIRS));
}

static void gather_inputs(const uint8_t *const four[4], const fj_int8_stretch *stretch, int stretches,
                          uint8_t *packed) {
    const Bytes zeros = (Bytes){0} + (uint8_t)BIAS;
    for (; stretches > 0; stretches--, stretch++) {
        const uint8_t *a = four[0] + stretch->offset, *b = four[1] + stretch->offset, *c = four[2] + stretch->offset,
                      *d = four[3] + stretch->offset;
        if (stretch->length <= 8) interleave_8(bytes_at(a), bytes_at(b), bytes_at(c), bytes_at(d), packed);
        else
            for (int i = 0; i < stretch->length; i += 16)
                interleave_16(bytes_at(a + i), bytes_at(b + i), bytes_at(c + i), bytes_at(d + i), packed + 4 * i);
        packed += 4 * stretch->length;
        for (int i = 0; i < stretch->blank; i += 4) bytes_to(packed + 4 * i, zeros);
        packed += 4 * stretch->blank;
    }
}

static void gather_errors(const uint8_t *const four[4], size_t used, int8_t *packed) {
    static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    for (size_t i = 0; i < COLUMNS; i += 16) {
        size_t left = used > i ? used - i : 0;
        Bytes kept = bytes_at(keep + 16 - (left < 16 ? left : 16)), row[4];
        for (int j = 0; j < 4; j++) row[j] = (bytes_at(four[j] + i) ^ (uint8_t)BIAS) & kept;
        interleave_16(row[0], row[1], row[2], row[3], (uint8_t *)packed + 4 * i);
    }
}

/* Squares of 4 inputs x 4 outputs, each turned over; four neighbours at a time where there are so many. */
INLINE Bytes turned(Bytes square) {
    return __builtin_shufflevector(square, square, TURNED);
}

INLINE void turn_four(const int8_t *weights, size_t quads, int8_t *to) {
    for (size_t q = 0; q < quads; q++, weights += 16, to += 4 * COLUMNS) {
        Bytes square[4];
        for (int i = 0; i < 4; i++) square[i] = turned(bytes_at(weights + i * 4 * COLUMNS));
        for (int i = 0; i < 4; i++) bytes_to(to + 16 * i, square[i]);
    }
}

INLINE void turn_some(const int8_t *weights, size_t used, size_t quads, int8_t *to) {
    for (size_t q = 0; q < quads; q++, weights += 16, to += 4 * COLUMNS) {
        for (size_t i = 0; i < used; i++) bytes_to(to + 16 * i, turned(bytes_at(weights + i * 4 * COLUMNS)));
        for (size_t i = used; i < 4; i++) bytes_to(to + 16 * i, (Bytes){0});
    }
}

static void turn(const int8_t *weights, size_t apart, size_t used, size_t quads, int8_t *packed) {
    for (size_t input = 0; input < COLUMNS / 4; input += 4, weights += 16 * COLUMNS, packed += 64) {
        size_t left = quads, here = used > input ? used - input : 0;
        const int8_t *tile = weights;
        int8_t *to = packed;
        for (; left >= COLUMNS / 4; left -= COLUMNS / 4, tile += apart, to += COLUMNS * COLUMNS) {
            if (here >= 4) turn_four(tile, COLUMNS / 4, to);
            else turn_some(tile, here, COLUMNS / 4, to);
        }
        turn_some(tile, here < 4 ? here : 4, left, to);
    }
}

static void rescale(const int32_t *restrict sums, size_t pixels, size_t stride, size_t channels, int relu,
                    const fj_int8_rounding *how, int8_t *restrict out) {
    const int s = how->shift;
    const int32_t floor = relu ? 0 : INT32_MIN;
    const size_t count = (pixels - 1) * stride + channels;
    if (relu && (s <= 0 || how->rounding == FJ_NEAREST)) { /* the same without signs */
        const uint32_t half = s > 0 ? 1u << (s - 1) : 0;
        for (size_t i = 0; i < count; i++) {
            uint32_t x = ((uint32_t)(sums[i] < 0 ? 0 : sums[i]) + half) >> s;
            out[i] = (int8_t)(x > 127 ? 127 : x);
        }
    } else if (s <= 0 || how->rounding == FJ_NEAREST) {
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
        uint32_t place = how->place;
        for (size_t p = 0; p < pixels; p++, sums += stride, out += stride, place += (uint32_t)channels) {
            for (size_t c = 0; c < channels; c++) {
                int32_t x = sums[c] < floor ? floor : sums[c];
                out[c] = (int8_t)fj_clip127(fj_round_stochastic(x, s, how->key, place + (uint32_t)c));
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

static void put(const int8_t *restrict from, size_t stride, size_t pixels, size_t channels, uint8_t flip,
                uint8_t *restrict to, size_t to_stride) {
    if (stride == channels && to_stride == channels) channels *= pixels, pixels = 1;
    for (; pixels > 0; pixels--, from += stride, to += to_stride) {
        if (channels < 16) {
            for (size_t i = 0; i < channels; i++) to[i] = (uint8_t)from[i] ^ flip;
        } else {
            EACH_16(i, channels) bytes_to(to + i, bytes_at(from + i) ^ flip);
        }
    }
}

static void mask(const uint8_t *restrict active, size_t active_stride, size_t pixels, size_t channels,
                 int8_t *restrict errors, size_t stride) {
    if (stride == channels && active_stride == channels) channels *= pixels, pixels = 1;
    for (; pixels > 0; pixels--, active += active_stride, errors += stride) {
        if (channels < 16) {
            for (size_t i = 0; i < channels; i++) errors[i] = (int8_t)(active[i] ^ BIAS) > 0 ? errors[i] : 0;
        } else {
            EACH_16(i, channels) {
                Bytes kept = (Bytes)((Signed)(bytes_at(active + i) ^ (uint8_t)BIAS) > 0);
                bytes_to(errors + i, bytes_at(errors + i) & kept);
            }
        }
    }
}

static void unpool(const int8_t *errors, size_t stride, const uint8_t *winner, size_t winner_stride, size_t pixels,
                   size_t channels, uint8_t *upper, uint8_t *lower, size_t to_stride) {
    for (; pixels > 0; pixels--) {
        uint8_t *const to[4] = {upper, upper + to_stride, lower, lower + to_stride};
        if (channels < 16) {
            for (int k = 0; k < 4; k++)
                for (size_t i = 0; i < channels; i++) to[k][i] = (uint8_t)((winner[i] == k ? errors[i] : 0) ^ BIAS);
        } else {
            EACH_16(i, channels) {
                Bytes e = bytes_at(errors + i), w = bytes_at(winner + i);
                for (int k = 0; k < 4; k++) bytes_to(to[k] + i, (e & (Bytes)(w == (uint8_t)k)) ^ (uint8_t)BIAS);
            }
        }
        errors += stride, winner += winner_stride, upper += 2 * to_stride, lower += 2 * to_stride;
    }
}

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

#include "int8_loss.h"
#ifdef HAS_PLANES
#include "int8_lines.h"
#include "int8_plane.h"
#define LINES &line_kernels
#define PLANES &plane_kernels
#else
#define LINES NULL
#define PLANES NULL
#endif
#ifndef NARROW
#define NARROW NULL
#endif

const fj_int8_kernels FJ_KERNELS = {
    .rows = ROWS, .columns = COLUMNS, .steps = STEPS, .bias = BIAS,
    .multiply = multiply, .accumulate = accumulate, .accumulate_again = accumulate_again, .begin = begin,
    .gather_inputs = gather_inputs, .gather_errors = gather_errors, .turn = turn, .rescale = rescale, .pool = pool,
    .put = put, .mask = mask, .unpool = unpool,
    .weigh = weigh, .share = share, .log_of_sum = log_of_sum, .largest_logit = largest_logit,
    .update = update, .quantize = quantize, .narrow = NARROW, .plane = PLANES, .lines = LINES,
};
