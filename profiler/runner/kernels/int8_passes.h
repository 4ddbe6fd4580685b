/* Template: passes over rows of sums and mantissas. Plain loops that the compiler turns into the instructions of the
 * file that includes them, which defines BIAS and COLUMNS (a multiple of 16); HAS_PLANES where planes and lines pay, and
 * NARROW if there are kernels with fewer columns. */

typedef uint8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef int8_t Signed __attribute__((vector_size(16)));

#include "int8_gather.h"

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
        if (channels < 16 && stride >= 16) { /* what is behind the channels is nobody's */
            Bytes kept = (Bytes)((Signed)(bytes_at(active) ^ (uint8_t)BIAS) > 0);
            bytes_to(errors, bytes_at(errors) & kept);
        } else if (channels < 16) {
            for (size_t i = 0; i < channels; i++) errors[i] = (int8_t)(active[i] ^ BIAS) > 0 ? errors[i] : 0;
        } else {
            EACH_16(i, channels) {
                Bytes kept = (Bytes)((Signed)(bytes_at(active + i) ^ (uint8_t)BIAS) > 0);
                bytes_to(errors + i, bytes_at(errors + i) & kept);
            }
        }
    }
}

/* Pixels of few channels, a line from its beginning to its end: each writes zeros over the next ones, the last only what
 * is theirs. */
INLINE void unpool_thin(const int8_t *errors, size_t stride, const uint8_t *winner, size_t winner_stride, size_t pixels,
                        size_t channels, uint8_t place, uint8_t *to, size_t to_stride) {
    const Bytes kept = first_bytes(channels);
    for (; pixels > 0; pixels--, errors += stride, winner += winner_stride, to += 2 * to_stride) {
        if (to_stride * (2 * pixels - 1) >= 16) {
            Bytes e = bytes_at(errors) & kept, w = bytes_at(winner);
            bytes_to(to, (e & (Bytes)(w == place)) ^ (uint8_t)BIAS);
            bytes_to(to + to_stride, (e & (Bytes)(w == (uint8_t)(place + 1))) ^ (uint8_t)BIAS);
        } else {
            for (uint8_t k = 0; k < 2; k++)
                for (size_t i = 0; i < channels; i++)
                    to[k * to_stride + i] = (uint8_t)((winner[i] == place + k ? errors[i] : 0) ^ BIAS);
        }
    }
}

static void unpool(const int8_t *errors, size_t stride, const uint8_t *winner, size_t winner_stride, size_t pixels,
                   size_t channels, uint8_t *upper, uint8_t *lower, size_t to_stride) {
    if (channels < 16) {
        unpool_thin(errors, stride, winner, winner_stride, pixels, channels, 0, upper, to_stride);
        unpool_thin(errors, stride, winner, winner_stride, pixels, channels, 2, lower, to_stride);
        return;
    }
    for (; pixels > 0; pixels--) {
        uint8_t *const to[4] = {upper, upper + to_stride, lower, lower + to_stride};
        EACH_16(i, channels) {
            Bytes e = bytes_at(errors + i), w = bytes_at(winner + i);
            for (int k = 0; k < 4; k++) bytes_to(to[k] + i, (e & (Bytes)(w == (uint8_t)k)) ^ (uint8_t)BIAS);
        }
        errors += stride, winner += winner_stride, upper += 2 * to_stride, lower += 2 * to_stride;
    }
}

#include "int8_loss.h"
#include "int8_update.h"
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
