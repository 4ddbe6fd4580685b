/* Sums of what clients made, in whole numbers: exact, so that their order never matters. */
#include <string.h>

#include "cpu.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void add_int8(int64_t *restrict sums, const int8_t *restrict values, int64_t weight, size_t count) {
    for (size_t i = 0; i < count; i++) sums[i] += weight * values[i];
}

INLINE uint32_t largest_bits(const float *values, size_t count) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* Rounds by adding 2^52, after which a double has no places behind the point; its lowest bits are the whole number.
 * value * scale is exact, so that it makes no difference whether it is rounded before that. */
INLINE void add_fp32(int64_t *restrict sums, const float *restrict values, double scale, int64_t weight, size_t count) {
    const double large = 4503599627370496.0;
    int64_t of_large;
    memcpy(&of_large, &large, sizeof of_large);
    for (size_t i = 0; i < count; i++) {
        double x = (double)values[i] * scale, rounded = __builtin_fabs(x) + large;
        int64_t whole, sign = -(int64_t)(values[i] < 0.0f);
        memcpy(&whole, &rounded, sizeof whole);
        whole -= of_large;
        sums[i] += weight * ((whole ^ sign) - sign);
    }
}

#if defined(FJ_X86)
FJ_TARGET_PUSH(FJ_ISA_AVX512)
static void add_int8_wide(int64_t *sums, const int8_t *values, int64_t weight, size_t count) {
    add_int8(sums, values, weight, count);
}
static void add_fp32_wide(int64_t *sums, const float *values, double scale, int64_t weight, size_t count) {
    add_fp32(sums, values, scale, weight, count);
}
static uint32_t largest_bits_wide(const float *values, size_t count) {
    return largest_bits(values, count);
}
FJ_TARGET_POP
#else
#define add_int8_wide add_int8
#define largest_bits_wide largest_bits
#define add_fp32_wide add_fp32
#endif

void fj_add_int8(int64_t *sums, const int8_t *values, int64_t weight, size_t count) {
    if (fj_path_works(FJ_AVX512)) add_int8_wide(sums, values, weight, count);
    else add_int8(sums, values, weight, count);
}

int fj_add_fp32(int64_t *sums, const float *values, double scale, double limit, int64_t weight, size_t count) {
    int wide = fj_path_works(FJ_AVX512);
    uint32_t bits = wide ? largest_bits_wide(values, count) : largest_bits(values, count);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (bits >= 0x7f800000u || (double)largest >= limit || (double)largest * scale >= 4503599627370496.0) return -1;
    if (wide) add_fp32_wide(sums, values, scale, weight, count);
    else add_fp32(sums, values, scale, weight, count);
    return 0;
}
