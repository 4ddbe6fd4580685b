#include "cpu.h"
#include "float_layer.h"

#if defined(FJ_X86)
#include <immintrin.h>
#include <string.h>

FJ_TARGET_PUSH(FJ_ISA_AVX512)

#define LANES 16
#define FEW_REGISTERS 0
#define NARROW 12 /* places of a tile of one or two vectors of channels: 24 sums, two weights and an input */
#define WIDE 8    /* of a tile of three */
#define TILE_VECTORS 3
#define PLANE_CHANNELS 6
#define FULL_ROWS 4
#define FULL_IMAGES 5

typedef float Vec __attribute__((vector_size(64)));
typedef int32_t Lanes __attribute__((vector_size(64)));
typedef unsigned char Bytes __attribute__((vector_size(16)));

static inline Vec larger(Vec a, Vec b) {
    return _mm512_max_ps(a, b);
}

static inline float sum_of(Vec a) {
    return _mm512_reduce_add_ps(a);
}

static inline Vec load_some(const float *from, int count) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
}

static inline void store_some(float *to, Vec a, int count) {
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), a);
}

/* a0 b0 a1 b1 ..., of the lower and of the upper halves. */
static inline Vec low_pairs(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

static inline Vec high_pairs(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

static inline Vec evens(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

static inline Vec odds(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

#include "float_tile.h"
#include "float_conv.h"
#include "float_winners.h"
#include "float_plane.h"
#include "float_winograd.h"
#include "float_full.h"

const fj_float_kernels fj_float_avx512 = KERNELS;

FJ_TARGET_POP
#endif
