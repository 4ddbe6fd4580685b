/* The INT8 kernels for arm64 with dot products of four values. */
#include "cpu.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

FJ_TARGET_PUSH(FJ_ISA_DOTPROD)

#define FJ_KERNELS fj_int8_dotprod
#define ROWS 6
#define HALF_ROWS 3
#define STEPS 1
#define PAIR 1

#include "int8_neon.h"

typedef int32x4_t Sum;
typedef int8x16_t Cell;
typedef int8x16_t Spread;

#define sum_begin(start) ((void)(start), vec_zero())
#define sum_row(sum, row) (sum)

INLINE Cell cell_load(const int8_t *from, size_t next) {
    (void)next;
    return vld1q_s8(from);
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    (void)step;
    return vreinterpretq_s8_s32(vdupq_n_s32(four_at(row[0] + at)));
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    return vdotq_s32(sum, b, a);
}

#include "int8_tile.h"

#include "int8_passes.h"

FJ_TARGET_POP
#else
typedef int fj_int8_dotprod_is_for_arm64;
#endif
