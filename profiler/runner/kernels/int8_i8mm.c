/* The INT8 kernels for arm64 with products of small matrices: two rows by two columns of eight values. */
#include "cpu.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

FJ_TARGET_PUSH(FJ_ISA_I8MM)

#define FJ_KERNELS fj_int8_i8mm
#define ROWS 6
#define HALF_ROWS 2
#define STEPS 2
#define PAIR 2

#include "int8_neon.h"

/* Of both rows: columns 0 and 1, 2 and 3. */
typedef struct {
    int32x4_t left, right;
} Sum;
typedef struct {
    int8x16_t left, right;
} Cell;
typedef int8x16_t Spread;

#define sum_begin(start) ((void)(start), (Sum){vec_zero(), vec_zero()})

INLINE Vec sum_row(Sum sum, int row) {
    return row ? vcombine_s32(vget_high_s32(sum.left), vget_high_s32(sum.right))
               : vcombine_s32(vget_low_s32(sum.left), vget_low_s32(sum.right));
}

/* Eight values of each column: four of this step, four of the next. */
INLINE Cell cell_load(const int8_t *from, size_t next) {
    int32x4_t first = vreinterpretq_s32_s8(vld1q_s8(from)), second = vreinterpretq_s32_s8(vld1q_s8(from + next));
    return (Cell){vreinterpretq_s8_s32(vzip1q_s32(first, second)), vreinterpretq_s8_s32(vzip2q_s32(first, second))};
}

INLINE int8x8_t eight_at(const uint8_t *from, size_t step) {
    if (step == 4) return vreinterpret_s8_u8(vld1_u8(from));
    return vcreate_s8((uint64_t)(uint32_t)four_at(from + step) << 32 | (uint32_t)four_at(from));
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    return vcombine_s8(eight_at(row[0] + at, step), eight_at(row[1] + at, step));
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    return (Sum){vmmlaq_s32(sum.left, a, b.left), vmmlaq_s32(sum.right, a, b.right)};
}

#include "int8_tile.h"

#include "int8_passes.h"

FJ_TARGET_POP
#else
typedef int fj_int8_i8mm_is_for_arm64;
#endif
