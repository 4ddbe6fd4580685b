#include "cpu.h"
#include "float_layer.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>
#include <string.h>

/* 64-bit Arm has 32 registers, 32-bit Arm 16. */
#if defined(__aarch64__)
#define FEW_REGISTERS 0
#define NARROW 8
#define WIDE 8
#define PLANE_CHANNELS 5
#define FULL_ROWS 4
#define FULL_IMAGES 5
#else
#define FEW_REGISTERS 1
#define NARROW 4
#define WIDE 4
#define PLANE_CHANNELS 2
#define FULL_ROWS 2
#define FULL_IMAGES 5
#endif
#define LANES 4
#define TILE_VECTORS 3

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t Lanes __attribute__((vector_size(16)));
typedef unsigned char Bytes __attribute__((vector_size(4)));

static inline Vec larger(Vec a, Vec b) {
    return (Vec)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
}

static inline float sum_of(Vec a) {
    return (a[0] + a[2]) + (a[1] + a[3]);
}

static inline Vec load_some(const float *from, int count) {
    Vec a = {0};
    for (int i = 0; i < count; i++) a[i] = from[i];
    return a;
}

static inline void store_some(float *to, Vec a, int count) {
    for (int i = 0; i < count; i++) to[i] = a[i];
}

/* a0 b0 a1 b1 ..., of the lower and of the upper halves. */
static inline Vec low_pairs(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}

static inline Vec high_pairs(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

static inline Vec evens(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6);
}

static inline Vec odds(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

#include "float_tile.h"
#include "float_conv.h"
#include "float_winners.h"
#include "float_plane.h"
#include "float_winograd.h"
#include "float_full.h"

const fj_float_kernels fj_float_neon = KERNELS;

#endif
