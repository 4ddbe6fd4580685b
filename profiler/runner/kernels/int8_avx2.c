/* The INT8 kernels for AVX2: products of 16-bit values, two of which are added at once. */
#include "cpu.h"

#if defined(FJ_X86)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

FJ_TARGET_PUSH(FJ_ISA_AVX2)

#define FJ_KERNELS fj_int8_avx2
#define ROWS 2
#define HALF_ROWS 1
#define VECTORS 2
#define LANES 8
#define STEPS 1
#define PAIR 1
#define BIAS 0
#define INLINE static inline __attribute__((always_inline))

typedef __m256i Vec;

INLINE Vec vec_load(const int32_t *from) {
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

INLINE void vec_store(int32_t *to, Vec x) {
    _mm256_storeu_si256((__m256i *)(void *)to, x);
}

INLINE Vec vec_zero(void) {
    return _mm256_setzero_si256();
}

INLINE Vec vec_add(Vec a, Vec b) {
    return _mm256_add_epi32(a, b);
}

INLINE Vec vec_most(Vec most, Vec x) {
    return _mm256_max_epi32(most, _mm256_abs_epi32(x));
}

INLINE uint32_t vec_reduce(Vec x) {
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

/* Two sums for each column, of the first and of the last two of four values: columns 0 to 3 and 4 to 7. */
typedef struct {
    __m256i left, right;
} Sum;
typedef Sum Cell;
typedef __m256i Spread;

#define sum_begin(start) ((void)(start), (Sum){vec_zero(), vec_zero()})

INLINE Vec sum_row(Sum sum, int row) {
    (void)row;
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum.left, sum.right), 0xd8);
}

INLINE Cell cell_load(const int8_t *from, size_t next) {
    (void)next;
    return (Cell){_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)from)),
                  _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(from + 16)))};
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    int32_t four;
    (void)step;
    memcpy(&four, row[0] + at, sizeof four);
    return _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    return (Sum){_mm256_add_epi32(sum.left, _mm256_madd_epi16(a, b.left)),
                 _mm256_add_epi32(sum.right, _mm256_madd_epi16(a, b.right))};
}

#include "int8_tile.h"

#include "int8_passes.h"

FJ_TARGET_POP
#else
typedef int fj_int8_avx2_is_for_x86;
#endif
