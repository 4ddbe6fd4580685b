/* Vectors of four int32 for the templates. */
#define LANES 4
#define VECTORS 4
#define BIAS 0
#define SPREADS_FIRST
#define INLINE static inline __attribute__((always_inline))

typedef int32x4_t Vec;

INLINE Vec vec_load(const int32_t *from) {
    return vld1q_s32(from);
}

INLINE void vec_store(int32_t *to, Vec x) {
    vst1q_s32(to, x);
}

INLINE Vec vec_zero(void) {
    return vdupq_n_s32(0);
}

INLINE Vec vec_add(Vec a, Vec b) {
    return vaddq_s32(a, b);
}

INLINE Vec vec_most(Vec most, Vec x) {
    return vmaxq_s32(most, vabsq_s32(x));
}

INLINE uint32_t vec_reduce(Vec x) {
    int32x2_t two = vmax_s32(vget_low_s32(x), vget_high_s32(x));
    return (uint32_t)vget_lane_s32(vpmax_s32(two, two), 0);
}

INLINE int32_t four_at(const uint8_t *from) {
    int32_t four;
    memcpy(&four, from, sizeof four);
    return four;
}
