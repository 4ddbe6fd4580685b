/* The INT8 kernels for NEON without dot products. Products of mantissas have at most 14 bits and a sign, so that two of
 * them are added in 16 bits before they join a sum of 32. */
#include "cpu.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

#define FJ_KERNELS fj_int8_neon
#if defined(__aarch64__)
#define ROWS 3
#define HALF_ROWS 2
#else
#define ROWS 1 /* half as many registers */
#define HALF_ROWS 1
#endif
#define STEPS 2
#define PAIR 1

#include "int8_neon.h"

/* Two sums for each column, of the first and of the last two of four values: columns 0 and 1, 2 and 3. */
typedef struct {
    int32x4_t left, right;
} Sum;
typedef struct {
    int8x16_t first, second;
} Cell;
typedef struct {
    int8x8_t first, second;
} Spread;

#define sum_begin(start) ((void)(start), (Sum){vec_zero(), vec_zero()})

INLINE Vec sum_row(Sum sum, int row) {
    (void)row;
    return vcombine_s32(vpadd_s32(vget_low_s32(sum.left), vget_high_s32(sum.left)),
                        vpadd_s32(vget_low_s32(sum.right), vget_high_s32(sum.right)));
}

INLINE Cell cell_load(const int8_t *from, size_t next) {
    return (Cell){vld1q_s8(from), vld1q_s8(from + next)};
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    return (Spread){vreinterpret_s8_s32(vdup_n_s32(four_at(row[0] + at))),
                    vreinterpret_s8_s32(vdup_n_s32(four_at(row[0] + at + step)))};
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    int16x8_t left = vmull_s8(vget_low_s8(b.first), a.first), right = vmull_s8(vget_high_s8(b.first), a.first);
    left = vmlal_s8(left, vget_low_s8(b.second), a.second);
    right = vmlal_s8(right, vget_high_s8(b.second), a.second);
    return (Sum){vpadalq_s16(sum.left, left), vpadalq_s16(sum.right, right)};
}

#include "int8_tile.h"

#include "int8_passes.h"
#else
typedef int fj_int8_neon_is_for_arm;
#endif
