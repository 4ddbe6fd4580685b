/* The INT8 kernels for AVX-512 with VNNI: 64 products an instruction, of unsigned by signed values, exact in 32 bits
 * (sums may leave their range on the way and come back). */
#include "cpu.h"

#if defined(FJ_X86)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "int8_kernels.h"
#include "rounding.h"

FJ_TARGET_PUSH(FJ_ISA_VNNI)

#define FJ_KERNELS fj_int8_vnni
#define ROWS 12
#define HALF_ROWS 6
#define VECTORS 2
#define STEPS 1
#define PAIR 1
#define BIAS 0x80

#include "int8_avx512.h"

typedef __m512i Sum;
typedef __m512i Cell;
typedef __m512i Spread;

#define sum_begin vec_load
#define sum_row(sum, row) (sum)

INLINE Cell cell_load(const int8_t *from, size_t next) {
    (void)next;
    return _mm512_loadu_si512(from);
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    int32_t four;
    (void)step;
    memcpy(&four, row[0] + at, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    return _mm512_dpbusd_epi32(sum, a, b);
}

#include "int8_tile.h"

#include "int8_passes.h"

FJ_TARGET_POP
#else
typedef int fj_int8_vnni_is_for_x86;
#endif
