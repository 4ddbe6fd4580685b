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

/* Pseudo-stochastic updates below 127, the default and the hot spot of small batches. The upper and the lower half of
 * the cut bits come from pairs of shifts; magnitudes of 16 bits go two to a lane. */
#define SWIFT_UPDATE

typedef struct {
    __m128i whole, high_left, high_right, low_left, low_right;
} Cuts;

INLINE Cuts cuts_of(int width, int s) {
    int half = s / 2;
    return (Cuts){_mm_cvtsi32_si128(s), _mm_cvtsi32_si128(width - s), _mm_cvtsi32_si128(width - s + half),
                  _mm_cvtsi32_si128(width - half), _mm_cvtsi32_si128(width - half - s % 2)};
}

INLINE Vec rounded_32(Vec a, Cuts cut) {
    Vec high = _mm512_srl_epi32(_mm512_sll_epi32(a, cut.high_left), cut.high_right);
    Vec low = _mm512_srl_epi32(_mm512_sll_epi32(a, cut.low_left), cut.low_right);
    Vec floor = _mm512_srl_epi32(a, cut.whole);
    return _mm512_mask_sub_epi32(floor, _mm512_cmpgt_epu32_mask(high, low), floor, _mm512_set1_epi32(-1));
}

INLINE Vec rounded_16(Vec a, Cuts cut) {
    Vec high = _mm512_srl_epi16(_mm512_sll_epi16(a, cut.high_left), cut.high_right);
    Vec low = _mm512_srl_epi16(_mm512_sll_epi16(a, cut.low_left), cut.low_right);
    Vec floor = _mm512_srl_epi16(a, cut.whole);
    return _mm512_mask_sub_epi16(floor, _mm512_cmpgt_epu16_mask(high, low), floor, _mm512_set1_epi16(-1));
}

/* Magnitudes of rows 0 and 1, and 2 and 3, in 16 bits; the signs are the gradient's. Packing works within each quarter
 * of a vector, which has four columns of all rows in the end: what the packed weights have. */
INLINE void subtract(const Vec x[4], Vec rows_01, Vec rows_23, int8_t *weights) {
    const Vec turned = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    Vec change = _mm512_packus_epi16(rows_01, rows_23);
    __mmask64 negative =
        _mm512_movepi8_mask(_mm512_packs_epi16(_mm512_packs_epi32(x[0], x[1]), _mm512_packs_epi32(x[2], x[3])));
    change = _mm512_shuffle_epi8(_mm512_mask_sub_epi8(change, negative, vec_zero(), change), turned);
    Vec after = _mm512_subs_epi8(_mm512_loadu_si512(weights), change);
    _mm512_storeu_si512(weights, _mm512_max_epi8(after, _mm512_set1_epi8(-127)));
}

static void swift_update(const int32_t *gradient, size_t stride, size_t steps, int s, uint32_t largest,
                         int8_t *weights) {
    const Cuts in_32 = cuts_of(32, s), in_16 = cuts_of(16, s);
    for (; steps > 0; steps--, gradient += 4 * stride) {
        for (size_t c = 0; c < VECTORS * LANES; c += LANES, weights += 4 * LANES) {
            Vec x[4], a[4];
            for (size_t r = 0; r < 4; r++) {
                x[r] = vec_load(gradient + r * stride + c);
                a[r] = _mm512_abs_epi32(x[r]);
            }
            if (largest <= 0xffff && s <= 16) {
                subtract(x, rounded_16(_mm512_packus_epi32(a[0], a[1]), in_16),
                         rounded_16(_mm512_packus_epi32(a[2], a[3]), in_16), weights);
            } else {
                for (int r = 0; r < 4; r++) a[r] = rounded_32(a[r], in_32);
                subtract(x, _mm512_packus_epi32(a[0], a[1]), _mm512_packus_epi32(a[2], a[3]), weights);
            }
        }
    }
}
