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
