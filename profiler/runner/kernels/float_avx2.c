#include "cpu.h"
#include "float_layer.h"

#if defined(FJ_X86)
#include <immintrin.h>
#include <string.h>

FJ_TARGET_PUSH(FJ_ISA_AVX2)

#define LANES 8
#define FEW_REGISTERS 1
#define NARROW 4
#define WIDE 4
#define TILE_VECTORS 3
#define PLANE_CHANNELS 3
#define FULL_ROWS 2
#define FULL_IMAGES 5

typedef float Vec __attribute__((vector_size(32)));
typedef int32_t Lanes __attribute__((vector_size(32)));
typedef unsigned char Bytes __attribute__((vector_size(8)));

static inline Vec larger(Vec a, Vec b) {
    return _mm256_max_ps(a, b);
}

static inline float sum_of(Vec a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static inline Lanes first_lanes(int count) {
    return count > (Lanes){0, 1, 2, 3, 4, 5, 6, 7};
}

static inline Vec load_some(const float *from, int count) {
    return _mm256_maskload_ps(from, (__m256i)first_lanes(count));
}

static inline void store_some(float *to, Vec a, int count) {
    _mm256_maskstore_ps(to, (__m256i)first_lanes(count), a);
}

/* a0 b0 a1 b1 ..., of the lower and of the upper halves. */
static inline Vec low_pairs(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

static inline Vec high_pairs(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

static inline Vec evens(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}

static inline Vec odds(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

#include "float_tile.h"
#include "float_conv.h"
#include "float_winners.h"
#include "float_plane.h"
#include "float_winograd.h"
#include "float_full.h"

const fj_float_kernels fj_float_avx2 = KERNELS;

FJ_TARGET_POP
#endif
