/* Products of AVX-512 with VNNI for the templates, and those of planes. */
#define STEPS 1
#define PAIR 1
#define BIAS 0x80
#define HAS_PLANES
#define PLANE_PRODUCTS

#include "int8_avx512.h"

typedef __m512i Sum;
typedef __m512i Cell;
typedef __m512i Spread;

#define sum_begin vec_load
#define sum_row(sum, row) (sum)

INLINE Cell cell_load(const int8_t *from, size_t next) {
    (void)next;
    return _mm512_loadu_si512(from);
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    int32_t four;
    (void)step;
    memcpy(&four, row[0] + at, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    return _mm512_dpbusd_epi32(sum, a, b);
}

#include "int8_tile.h"

/* The four bytes from every one of sixteen on. */
INLINE Vec windows(const uint8_t *from) {
    const Vec pairs = _mm512_setr_epi32(0, 1, 0, 0, 1, 2, 0, 0, 2, 3, 0, 0, 3, 4, 0, 0);
    const Vec fours = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6));
    Vec bytes = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)from));
    return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(pairs, bytes), fours);
}

/* Outputs `first` on, `count` of them, at sixteen places whose windows are known. */
INLINE Vec sum_planes(const int count, const fj_int8_plane *of, size_t first, const Vec *window, size_t windows_of,
                      size_t place, int32_t *sums, size_t apart) {
    Vec sum[4], most = vec_zero(), valid = vec_load(of->valid + place);
    const int8_t *weights = of->weights + 4 * first;
    EACH (int j = 0; j < count; j++) sum[j] = _mm512_set1_epi32(of->start[first + (size_t)j]);
    for (size_t i = 0; i < windows_of; i++, weights += 4 * of->columns) {
        EACH (int j = 0; j < count; j++) {
            int32_t four;
            memcpy(&four, weights + 4 * j, sizeof four);
            sum[j] = _mm512_dpbusd_epi32(sum[j], window[i], _mm512_set1_epi32(four));
        }
    }
    EACH (int j = 0; j < count; j++) {
        vec_store(sums + (first + (size_t)j) * apart + place, sum[j]);
        most = vec_most(most, _mm512_and_si512(sum[j], valid));
    }
    return most;
}

/* A kernel of a width known when compiling keeps its windows in registers. */
INLINE uint32_t sum_plane(const size_t kernel, const size_t steps, const fj_int8_plane *of, const uint8_t *image,
                          int32_t *sums, size_t apart) {
    Vec window[31 * 8], most = vec_zero();
    for (size_t place = 0; place < of->places; place += LANES) {
        for (size_t ky = 0; ky < kernel; ky++)
            for (size_t i = 0; i < steps; i++) window[ky * steps + i] = windows(image + place + ky * of->line + 4 * i);
        size_t o = 0;
        for (; o + 3 <= of->outputs; o += 3)
            most = _mm512_max_epi32(most, sum_planes(3, of, o, window, kernel * steps, place, sums, apart));
        for (; o < of->outputs; o++)
            most = _mm512_max_epi32(most, sum_planes(1, of, o, window, kernel * steps, place, sums, apart));
    }
    return vec_reduce(most);
}

static uint32_t plane_forward(const fj_int8_plane *of, const uint8_t *image, int32_t *sums, size_t apart) {
    if (of->kernel == 5 && of->steps == 2) return sum_plane(5, 2, of, image, sums, apart);
    if (of->kernel == 3 && of->steps == 1) return sum_plane(3, 1, of, image, sums, apart);
    return sum_plane(of->kernel, of->steps, of, image, sums, apart);
}

#define PLANES_AT_ONCE 3
#define TAPS_AT_ONCE 5

/* The bias of the inputs adds 128 times the sum of the errors. */
static uint32_t plane_gradient(const fj_int8_plane *of, const uint8_t *at, size_t image, size_t images,
                               const int8_t *errors, size_t apart, int32_t *gradient) {
    const Vec bias = _mm512_set1_epi8((char)BIAS);
    uint32_t largest = 0;
    memset(gradient, 0, 4 * of->steps * of->columns * sizeof *gradient);
    for (size_t o = 0; o < of->outputs; o += PLANES_AT_ONCE) {
        size_t here = of->outputs - o < PLANES_AT_ONCE ? of->outputs - o : PLANES_AT_ONCE;
        for (size_t kx = 0; kx < of->kernel; kx += TAPS_AT_ONCE) {
            Vec sum[PLANES_AT_ONCE][TAPS_AT_ONCE], of_bias[PLANES_AT_ONCE];
            EACH (int j = 0; j < PLANES_AT_ONCE; j++) {
                of_bias[j] = vec_zero();
                EACH (int t = 0; t < TAPS_AT_ONCE; t++) sum[j][t] = vec_zero();
            }
            for (size_t n = 0; n < images; n++) {
                const uint8_t *x = at + n * image + kx;
                const int8_t *e = errors + (n * of->outputs + o) * apart;
                for (size_t p = 0; p < of->places; p += FJ_INT8_PLACES) {
                    Vec error[PLANES_AT_ONCE]; /* beyond the last output the last one's, which nobody reads */
                    EACH (size_t j = 0; j < PLANES_AT_ONCE; j++) {
                        error[j] = _mm512_loadu_si512(e + (j < here ? j : here - 1) * apart + p);
                        of_bias[j] = _mm512_dpbusd_epi32(of_bias[j], bias, error[j]);
                    }
                    EACH (int t = 0; t < TAPS_AT_ONCE; t++) {
                        Vec inputs = _mm512_loadu_si512(x + p + t);
                        EACH (int j = 0; j < PLANES_AT_ONCE; j++)
                            sum[j][t] = _mm512_dpbusd_epi32(sum[j][t], inputs, error[j]);
                    }
                }
            }
            for (size_t j = 0; j < here; j++)
                for (size_t t = 0; t < TAPS_AT_ONCE && kx + t < of->kernel; t++) {
                    int32_t found = _mm512_reduce_add_epi32(_mm512_sub_epi32(sum[j][t], of_bias[j]));
                    gradient[(kx + t) * of->columns + o + j] = found;
                    largest = fj_magnitude(found) > largest ? fj_magnitude(found) : largest;
                }
        }
    }
    return largest;
}

#define LINE_PRODUCTS
#define IMAGES_AT_ONCE 5

/* So many images at once, whose sums stay in registers; what the bias of the errors adds is the same for all. */
INLINE Vec back_of(const int count, const fj_int8_meeting *meeting, size_t meetings, size_t first, size_t image,
                   __mmask16 lanes, int32_t *sums, size_t apart) {
    const Vec bias = _mm512_set1_epi8((char)BIAS);
    Vec sum[IMAGES_AT_ONCE], of_bias = vec_zero(), most = vec_zero();
    EACH (int n = 0; n < count; n++) sum[n] = vec_zero();
    for (; meetings > 0; meetings--, meeting++) {
        const uint8_t *e = meeting->errors + first * image;
        const int8_t *w = meeting->weights;
        for (size_t i = 0; i < meeting->steps; i++, e += 4, w += 4 * LANES) {
            Vec weights = _mm512_loadu_si512(w);
            of_bias = _mm512_dpbusd_epi32(of_bias, bias, weights);
            EACH (int n = 0; n < count; n++) {
                int32_t four;
                memcpy(&four, e + (size_t)n * image, sizeof four);
                sum[n] = _mm512_dpbusd_epi32(sum[n], _mm512_set1_epi32(four), weights);
            }
        }
    }
    EACH (int n = 0; n < count; n++) {
        sum[n] = _mm512_sub_epi32(sum[n], of_bias);
        vec_store(sums + (first + (size_t)n) * apart, sum[n]);
        most = vec_most(most, _mm512_maskz_mov_epi32(lanes, sum[n]));
    }
    return most;
}

static uint32_t lines_back(const fj_int8_meeting *meeting, size_t meetings, size_t images, size_t image, size_t lanes,
                           int32_t *sums, size_t apart) {
    const __mmask16 used = (__mmask16)((1u << lanes) - 1);
    Vec most = vec_zero();
    size_t n = 0;
    for (; n + IMAGES_AT_ONCE <= images; n += IMAGES_AT_ONCE)
        most = _mm512_max_epi32(most, back_of(IMAGES_AT_ONCE, meeting, meetings, n, image, used, sums, apart));
    for (; n < images; n++) most = _mm512_max_epi32(most, back_of(1, meeting, meetings, n, image, used, sums, apart));
    return vec_reduce(most);
}

#include "int8_passes.h"
