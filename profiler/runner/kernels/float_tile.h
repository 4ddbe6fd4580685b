/* What the FP32 kernels are made of, for the vectors of the file that includes this.
 *
 * The heart is a tile: places by one to three vectors of channels, whose sums stay in registers to their end.
 */
#define INLINE static inline __attribute__((always_inline))
#define MOST_SUMS 24
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_4 _Pragma("clang loop unroll_count(4)")
#define NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define UNROLL _Pragma("GCC unroll 24")
#define UNROLL_4 _Pragma("GCC unroll 4")
#define NO_UNROLL _Pragma("GCC unroll 1")
#endif

INLINE Vec load(const float *from) {
    Vec a;
    memcpy(&a, from, sizeof a);
    return a;
}

INLINE void store(float *to, Vec a) {
    memcpy(to, &a, sizeof a);
}

INLINE Vec choose(Lanes mask, Vec a) {
    return (Vec)((Lanes)a & mask);
}

/* Places one after the other, image after image. */
typedef struct {
    size_t image;
    int place, places;
} Cursor;

INLINE Cursor cursor(int m, int places) {
    return (Cursor){(size_t)(m / places), m % places, places};
}

INLINE void advance(Cursor *at, int by) {
    at->place += by;
    while (at->place >= at->places) at->place -= at->places, at->image++;
}

INLINE float *where(const fj_field *field, const Cursor *at) {
    return field->data + at->image * field->image + field->at[at->place];
}

/* The same address, but the compiler does not know: with 16 registers twelve sums and three weights leave none for an
 * input, so the third weight is read anew each time. */
INLINE const float *again(const float *from) {
    __asm__("" : "+r"(from));
    return from;
}

/* sum[i][j] += the numbers that one input of each place adds. */
INLINE void add_input(Vec *sum, int mr, int nv, const float *const *in, size_t k, const float *w) {
    Vec of[TILE_VECTORS];
    UNROLL
    for (int j = 0; j < nv; j++) of[j] = load(w + j * LANES);
    UNROLL
    for (int i = 0; i < mr; i++) {
        if (FEW_REGISTERS && nv == 3) w = again(w), of[2] = load(w + 2 * LANES);
        UNROLL
        for (int j = 0; j < nv; j++) sum[i * nv + j] += in[i][k] * of[j];
    }
}

/* sum[i][j] = the runs of place i times the block's weights, for `mr` places and `nv` vectors of channels. */
INLINE void multiply(Vec *sum, int mr, int nv, const float *const *in, int rows, size_t row, int run, const float *w) {
    Vec held[MOST_SUMS] = {{0}};
    for (size_t from = 0; from < (size_t)rows * row; from += row) {
        size_t k = from, end = from + (size_t)run;
        if (run < 16) {
            NO_UNROLL
            for (; k < end; k++, w += nv * LANES) add_input(held, mr, nv, in, k, w);
        } else {
            UNROLL_4
            for (; k < end; k++, w += nv * LANES) add_input(held, mr, nv, in, k, w);
        }
    }
    UNROLL
    for (int i = 0; i < mr * nv; i++) sum[i] = held[i];
}

/* The first inputs of `mr` places; those past the end repeat the first. */
INLINE void gather(const float **in, int mr, const fj_field *field, Cursor at, int count) {
    UNROLL
    for (int i = 0; i < mr; i++) {
        in[i] = i < count ? where(field, &at) : in[0];
        advance(&at, 1);
    }
}

/* The last vector of a block may have fewer channels than lanes. */
INLINE void store_channels(float *to, const Vec *sum, int nv, int last) {
    UNROLL
    for (int j = 0; j < nv - 1; j++) store(to + j * LANES, sum[j]);
    if (last == LANES) store(to + (nv - 1) * LANES, sum[nv - 1]);
    else store_some(to + (nv - 1) * LANES, sum[nv - 1], last);
}

/* Channels of the block from `first` on: the last may be narrower. */
INLINE int block_width(int channels, int first, int width) {
    return channels - first < width ? channels - first : width;
}

/* Channels in the last of `nv` vectors. */
INLINE int channels_of_last(int channels, int first, int nv) {
    int left = channels - first - (nv - 1) * LANES;
    return left < LANES ? left : LANES;
}

/* The largest of a window's four places, `step` vectors apart, and which it is; the first of equals. */
INLINE Vec largest(const Vec *window, int step, Lanes *which) {
    Vec best = window[0];
    *which = (Lanes){0};
    UNROLL
    for (int d = 1; d < 4; d++) {
        Lanes more = window[d * step] > best;
        *which = (*which & ~more) | (d & more);
        best = larger(window[d * step], best);
    }
    return best;
}

/* The pool and the ReLU of a window. */
INLINE void pool(const Vec *sum, int nv, const float *bias, Vec *most, unsigned char *winner) {
    UNROLL
    for (int j = 0; j < nv; j++) {
        Lanes which;
        most[j] = largest(sum + j, nv, &which);
        most[j] = larger(most[j] + load(bias + j * LANES), (Vec){0});
        Bytes bytes = __builtin_convertvector(which, Bytes);
        memcpy(winner + j * LANES, &bytes, sizeof bytes);
    }
}

/* Rows to columns: `a` becomes the transpose of a square of LANES vectors. */
INLINE void transpose(Vec *a) {
    Vec b[LANES];
    UNROLL
    for (int half = 1; half < LANES; half *= 2) {
        UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            b[2 * i] = low_pairs(a[i], a[i + LANES / 2]);
            b[2 * i + 1] = high_pairs(a[i], a[i + LANES / 2]);
        }
        UNROLL
        for (int i = 0; i < LANES; i++) a[i] = b[i];
    }
}

/* to[o][c] = from[c][o] for rows of `to_row` and `from_row` floats. */
INLINE void turn(float *to, int to_row, int outs, const float *from, int from_row, int ins) {
    int o = 0;
    for (; o + LANES <= outs; o += LANES) {
        int c = 0;
        for (; c + LANES <= ins; c += LANES) {
            Vec a[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) a[i] = load(from + (c + i) * from_row + o);
            transpose(a);
            UNROLL
            for (int i = 0; i < LANES; i++) store(to + (o + i) * to_row + c, a[i]);
        }
        for (; c < ins; c++)
            for (int i = o; i < o + LANES; i++) to[i * to_row + c] = from[c * from_row + i];
    }
    for (; o < outs; o++)
        for (int c = 0; c < ins; c++) to[o * to_row + c] = from[c * from_row + o];
}

