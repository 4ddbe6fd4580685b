/* The INT8 kernels for AVX-512 without VNNI: products of 16-bit values, two of which are added at once. */
#include "cpu.h"

#if defined(FJ_X86)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

FJ_TARGET_PUSH(FJ_ISA_AVX512)

#define FJ_KERNELS fj_int8_avx512
#define ROWS 6
#define HALF_ROWS 3
#define VECTORS 2
#define STEPS 1
#define PAIR 1
#define BIAS 0

#include "int8_avx512.h"

/* Two sums for each column, of the first and of the last two of four values: columns 0 to 7 and 8 to 15. */
typedef struct {
    __m512i left, right;
} Sum;
typedef Sum Cell;
typedef __m512i Spread;

#define sum_begin(start) ((void)(start), (Sum){vec_zero(), vec_zero()})

INLINE Vec sum_row(Sum sum, int row) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    (void)row;
    return _mm512_add_epi32(_mm512_permutex2var_epi32(sum.left, even, sum.right),
                            _mm512_permutex2var_epi32(sum.left, odd, sum.right));
}

INLINE Cell cell_load(const int8_t *from, size_t next) {
    (void)next;
    return (Cell){_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)from)),
                  _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(from + 32)))};
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    int32_t four;
    (void)step;
    memcpy(&four, row[0] + at, sizeof four);
    return _mm512_cvtepi8_epi16(_mm256_set1_epi32(four));
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    return (Sum){_mm512_add_epi32(sum.left, _mm512_madd_epi16(a, b.left)),
                 _mm512_add_epi32(sum.right, _mm512_madd_epi16(a, b.right))};
}

#include "int8_tile.h"

#include "int8_passes.h"

FJ_TARGET_POP
#else
typedef int fj_int8_avx512_is_for_x86;
#endif
