/* Vectors of sixteen int32 for the templates. */
#define LANES 16
#define INLINE static inline __attribute__((always_inline))

typedef __m512i Vec;

INLINE Vec vec_load(const int32_t *from) {
    return _mm512_loadu_si512(from);
}

INLINE void vec_store(int32_t *to, Vec x) {
    _mm512_storeu_si512(to, x);
}

INLINE Vec vec_zero(void) {
    return _mm512_setzero_si512();
}

INLINE Vec vec_add(Vec a, Vec b) {
    return _mm512_add_epi32(a, b);
}

INLINE Vec vec_most(Vec most, Vec x) {
    return _mm512_max_epi32(most, _mm512_abs_epi32(x));
}

INLINE uint32_t vec_reduce(Vec x) {
    return (uint32_t)_mm512_reduce_max_epi32(x);
}

/* Pseudo-stochastic updates below 127, the default and the hot spot of small batches. Magnitudes of 16 bits go two to a
 * lane. Shifts by a vector of counts take half as long as those by one count. */
#define SWIFT_UPDATE

typedef struct {
    Vec whole, up;       /* counts of bits: all that are cut, and those by which their lower half becomes the upper one */
    Vec high, low, one;  /* masks of the halves; a one that compilers do not know: they would not add it by a mask */
} Cuts;

INLINE Cuts cuts_of(int width, int s) {
    const int half = s / 2, low = (1 << half) - 1, high = (int)((1u << s) - 1) - low;
    Vec one = width == 16 ? _mm512_set1_epi16(1) : _mm512_set1_epi32(1);
    __asm__("" : "+v"(one));
    if (width == 16)
        return (Cuts){_mm512_set1_epi16((short)s), _mm512_set1_epi16((short)(half + s % 2)),
                      _mm512_set1_epi16((short)high), _mm512_set1_epi16((short)low), one};
    return (Cuts){_mm512_set1_epi32(s), _mm512_set1_epi32(half + s % 2), _mm512_set1_epi32(high), _mm512_set1_epi32(low),
                  one};
}

INLINE Vec rounded_32(Vec a, Cuts cuts) {
    Vec high = _mm512_and_si512(a, cuts.high), low = _mm512_sllv_epi32(_mm512_and_si512(a, cuts.low), cuts.up);
    Vec floor = _mm512_srlv_epi32(a, cuts.whole);
    return _mm512_mask_add_epi32(floor, _mm512_cmpgt_epu32_mask(high, low), floor, cuts.one);
}

INLINE Vec rounded_16(Vec a, Cuts cuts) {
    Vec high = _mm512_and_si512(a, cuts.high), low = _mm512_sllv_epi16(_mm512_and_si512(a, cuts.low), cuts.up);
    Vec floor = _mm512_srlv_epi16(a, cuts.whole);
    return _mm512_mask_add_epi16(floor, _mm512_cmpgt_epu16_mask(high, low), floor, cuts.one);
}

/* Magnitudes of rows 0 and 1, and 2 and 3, in 16 bits; the signs are those of `bytes`. Packing works within each quarter
 * of a vector, which has four columns of all rows in the end: what the packed weights have. */
INLINE void subtract(Vec bytes, Vec rows_01, Vec rows_23, int8_t *weights) {
    const Vec turned = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    Vec change = _mm512_packus_epi16(rows_01, rows_23);
    change = _mm512_shuffle_epi8(_mm512_mask_sub_epi8(change, _mm512_movepi8_mask(bytes), vec_zero(), change), turned);
    Vec after = _mm512_subs_epi8(_mm512_loadu_si512(weights), change);
    _mm512_storeu_si512(weights, _mm512_max_epi8(after, _mm512_set1_epi8(-127)));
}

/* Gradients of 16 bits with their sign; of 16 bits without; of more. */
INLINE void update_16(const Vec x[4], Cuts cuts, int8_t *weights) {
    Vec x_01 = _mm512_packs_epi32(x[0], x[1]), x_23 = _mm512_packs_epi32(x[2], x[3]);
    subtract(_mm512_packs_epi16(x_01, x_23), rounded_16(_mm512_abs_epi16(x_01), cuts),
             rounded_16(_mm512_abs_epi16(x_23), cuts), weights);
}

INLINE void update_17(const Vec x[4], Cuts cuts, int8_t *weights) {
    Vec signs = _mm512_packs_epi16(_mm512_packs_epi32(x[0], x[1]), _mm512_packs_epi32(x[2], x[3])), a[4];
    for (int r = 0; r < 4; r++) a[r] = _mm512_abs_epi32(x[r]);
    subtract(signs, rounded_16(_mm512_packus_epi32(a[0], a[1]), cuts),
             rounded_16(_mm512_packus_epi32(a[2], a[3]), cuts), weights);
}

INLINE void update_32(const Vec x[4], Cuts cuts, int8_t *weights) {
    Vec signs = _mm512_packs_epi16(_mm512_packs_epi32(x[0], x[1]), _mm512_packs_epi32(x[2], x[3])), a[4];
    for (int r = 0; r < 4; r++) a[r] = rounded_32(_mm512_abs_epi32(x[r]), cuts);
    subtract(signs, _mm512_packus_epi32(a[0], a[1]), _mm512_packus_epi32(a[2], a[3]), weights);
}

INLINE void update_all(const int bits, const int32_t *gradient, size_t stride, size_t steps, int s, int8_t *weights) {
    const Cuts cuts = cuts_of(bits > 17 ? 32 : 16, s);
    for (; steps > 0; steps--, gradient += 4 * stride) {
        for (size_t c = 0; c < VECTORS * LANES; c += LANES, weights += 4 * LANES) {
            Vec x[4];
            for (size_t r = 0; r < 4; r++) x[r] = vec_load(gradient + r * stride + c);
            if (bits == 16) update_16(x, cuts, weights);
            else if (bits == 17) update_17(x, cuts, weights);
            else update_32(x, cuts, weights);
        }
    }
}

/* Above a shift of 16 the halves are not in 16 bits. */
static void swift_update(const int32_t *gradient, size_t stride, size_t steps, int s, uint32_t largest,
                         int8_t *weights) {
    if (largest <= 0x7fff && s <= 16) update_all(16, gradient, stride, steps, s, weights);
    else if (largest <= 0xffff && s <= 16) update_all(17, gradient, stride, steps, s, weights);
    else update_all(32, gradient, stride, steps, s, weights);
}
