/* Weighted sums of what clients made, in whole numbers: exact, so that their order never matters. */
#include <string.h>

#include "cpu.h"

static const double LARGE = 4503599627370496.0; /* 2^52: a double that is as large has no places behind the point */

static void add_int8(
    int64_t *sums, const int8_t *const *values, const int64_t *weights, size_t count, size_t first, size_t numbers) {
    for (size_t k = 0; k < count; k++)
        for (size_t i = first; i < numbers; i++) sums[i] += weights[k] * values[k][i];
}

/* Rounds by adding 2^52, after which the double's lowest bits are the whole number. value * scale is exact, so that it
 * makes no difference whether it is rounded before that. Returns the bits of the largest magnitude. */
static uint32_t add_fp32(uint64_t *sums, const float *const *values, double scale, const int64_t *weights, size_t count,
                         size_t first, size_t numbers) {
    uint32_t largest = 0;
    uint64_t of_large;
    memcpy(&of_large, &LARGE, sizeof of_large);
    for (size_t k = 0; k < count; k++) {
        for (size_t i = first; i < numbers; i++) {
            float value = values[k][i];
            double rounded = __builtin_fabs((double)value * scale) + LARGE;
            uint64_t whole, sign = 0 - (uint64_t)(value < 0.0f);
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            bits &= 0x7fffffffu;
            largest = bits > largest ? bits : largest;
            memcpy(&whole, &rounded, sizeof whole);
            whole -= of_large;
            sums[i] += (uint64_t)weights[k] * ((whole ^ sign) - sign);
        }
    }
    return largest;
}

#if defined(FJ_X86)
#include <immintrin.h>

FJ_TARGET_PUSH(FJ_ISA_AVX512)
#define STRIP 4 /* vectors of sums that stay in registers while the clients pass */

/* Adds up in 32 bits first: 128 times all weights must stay below 2^31. Returns how many numbers it has done. */
static size_t add_int8_wide(
    int64_t *sums, const int8_t *const *values, const int64_t *weights, size_t count, size_t numbers) {
    size_t i = 0;
    for (; i + 16 * STRIP <= numbers; i += 16 * STRIP) {
        __m512i total[STRIP];
        for (size_t s = 0; s < STRIP; s++) total[s] = _mm512_setzero_si512();
        for (size_t k = 0; k < count; k++) {
            __m512i weight = _mm512_set1_epi32((int)weights[k]);
            for (size_t s = 0; s < STRIP; s++) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(values[k] + i + 16 * s));
                total[s] = _mm512_add_epi32(total[s], _mm512_mullo_epi32(_mm512_cvtepi8_epi32(bytes), weight));
            }
        }
        for (size_t s = 0; s < STRIP; s++) {
            int64_t *at = sums + i + 16 * s;
            __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(total[s]));
            __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(total[s], 1));
            _mm512_storeu_si512(at, _mm512_add_epi64(_mm512_loadu_si512(at), low));
            _mm512_storeu_si512(at + 8, _mm512_add_epi64(_mm512_loadu_si512(at + 8), high));
        }
    }
    return i;
}

static size_t add_fp32_wide(uint64_t *sums, const float *const *values, double scale, const int64_t *weights,
                            size_t count, size_t numbers, uint32_t *largest) {
    const __m512d scales = _mm512_set1_pd(scale);
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i most = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 * STRIP <= numbers; i += 8 * STRIP) {
        __m512i total[STRIP];
        for (size_t s = 0; s < STRIP; s++) total[s] = _mm512_loadu_si512(sums + i + 8 * s);
        for (size_t k = 0; k < count; k++) {
            __m512i weight = _mm512_set1_epi64(weights[k]);
            for (size_t s = 0; s < STRIP; s++) {
                __m256 x = _mm256_loadu_ps(values[k] + i + 8 * s);
                most = _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(x), magnitude));
                __m512i whole = _mm512_cvtpd_epi64(_mm512_mul_pd(_mm512_cvtps_pd(x), scales));
                total[s] = _mm512_add_epi64(total[s], _mm512_mullo_epi64(whole, weight));
            }
        }
        for (size_t s = 0; s < STRIP; s++) _mm512_storeu_si512(sums + i + 8 * s, total[s]);
    }
    uint32_t bits[8];
    _mm256_storeu_si256((__m256i *)(void *)bits, most);
    for (size_t lane = 0; lane < 8; lane++) *largest = bits[lane] > *largest ? bits[lane] : *largest;
    return i;
}
FJ_TARGET_POP
#endif

void fj_add_int8(int64_t *sums, const int8_t *const *values, const int64_t *weights, size_t count, size_t numbers) {
    size_t first = 0;
#if defined(FJ_X86)
    int64_t total = 0;
    for (size_t k = 0; k < count; k++) total += weights[k];
    if (total < 1 << 24 && fj_path_works(FJ_AVX512)) first = add_int8_wide(sums, values, weights, count, numbers);
#endif
    add_int8(sums, values, weights, count, first, numbers);
}

static uint32_t add_floats(uint64_t *sums, const float *const *values, double scale, const int64_t *weights,
                           size_t count, size_t numbers) {
    uint32_t largest = 0;
    size_t first = 0;
#if defined(FJ_X86)
    if (fj_path_works(FJ_AVX512)) first = add_fp32_wide(sums, values, scale, weights, count, numbers, &largest);
#endif
    uint32_t of_rest = add_fp32(sums, values, scale, weights, count, first, numbers);
    return of_rest > largest ? of_rest : largest;
}

int fj_add_fp32(int64_t *sums, const float *const *values, double scale, double limit, int64_t *weights, size_t count,
                size_t numbers) {
    uint32_t bits = add_floats((uint64_t *)sums, values, scale, weights, count, numbers);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (bits < 0x7f800000u && (double)largest < limit && (double)largest * scale < LARGE) return 0;
    for (size_t k = 0; k < count; k++) weights[k] = -weights[k]; /* whole numbers wrap: what was added goes exactly */
    add_floats((uint64_t *)sums, values, scale, weights, count, numbers);
    return -1;
}
