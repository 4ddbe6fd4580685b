/* Forward through a pooled convolution with a kernel of five, for the vectors of the file that includes this, with
 * Winograd's minimal filtering along the rows: four outputs from eight inputs take eight products a row of the kernel
 * instead of twenty. Inputs and weights are polynomials' values at 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
 */
#define POINTS 8
#define OUTPUTS 4

/* Five taps of a vector of channels, `tap` floats apart, as weights at the points. */
INLINE void at_points(const float *from, size_t tap, float *to, size_t point) {
    Vec g[5];
    UNROLL
    for (int i = 0; i < 5; i++) g[i] = load(from + (size_t)i * tap);
    Vec even = g[0] + g[2] + g[4], odd = g[1] + g[3];
    Vec even_2 = g[0] + 4.0f * g[2] + 16.0f * g[4], odd_2 = 2.0f * g[1] + 8.0f * g[3];
    Vec even_half = g[0] + 0.25f * g[2] + 0.0625f * g[4], odd_half = 0.5f * g[1] + 0.125f * g[3];
    Vec at_point[POINTS] = {g[0],
                            (-2.0f / 9.0f) * (even + odd),
                            (-2.0f / 9.0f) * (even - odd),
                            (1.0f / 90.0f) * (even_2 + odd_2),
                            (1.0f / 90.0f) * (even_2 - odd_2),
                            (32.0f / 45.0f) * (even_half + odd_half),
                            (32.0f / 45.0f) * (even_half - odd_half),
                            g[4]};
    UNROLL
    for (int i = 0; i < POINTS; i++) store(to + (size_t)i * point, at_point[i]);
}

/* The weights of a block of channels at the points: point, ky, input channel, channel of the block. */
static void winograd_weights(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task * at->width, width = block_width(at->channels, first, at->width);
    int in_c = at->shape.in_c, inputs = at->shape.kernel * in_c, out_c = at->shape.out_c;
    float *taps = at->scratch[thread], *to = at->points + (size_t)(first * POINTS * inputs);
    for (int o = first; o < first + width && !few(at, first); o += LANES, to += LANES) {
        int outs = out_c - o < LANES ? out_c - o : LANES;
        memset(taps, 0, (size_t)(at->run * LANES) * sizeof *taps);
        for (int ky = 0; ky < at->rows; ky++) {
            turn(taps, LANES, at->run, at->by_row + (size_t)(ky * out_c + o) * (size_t)at->span, at->span, outs);
            for (int c = 0; c < in_c; c++) {
                float *of = to + (size_t)((ky * in_c + c) * width);
                at_points(taps + c * LANES, (size_t)(in_c * LANES), of, (size_t)(inputs * width));
            }
        }
    }
}

/* The inputs of an image at the points: point, row, four outputs, channel. Vectors may end in what is written next. */
INLINE void winograd_inputs(const fj_float_layer *at, const float *x, float *to, size_t point) {
    int in_c = at->shape.in_c, rows = 2 * at->shape.out_h + at->shape.kernel - 1, tiles = at->shape.out_w * 2 / OUTPUTS;
    for (int y = 0; y < rows; y++, x += at->row) {
        for (int t = 0; t < tiles; t++, to += in_c) {
            for (int c = 0; c < in_c; c += LANES) {
                Vec d[POINTS];
                UNROLL
                for (int i = 0; i < POINTS; i++) d[i] = load(x + (t * OUTPUTS + i) * in_c + c);
                Vec even = d[2] + d[6] - 4.25f * d[4], odd = d[1] + d[5] - 4.25f * d[3];
                Vec even_2 = d[6] + 0.25f * d[2] - 1.25f * d[4], odd_2 = 0.5f * d[1] - 2.5f * d[3] + 2.0f * d[5];
                Vec even_half = d[6] + 4.0f * d[2] - 5.0f * d[4], odd_half = 2.0f * d[1] - 2.5f * d[3] + 0.5f * d[5];
                Vec at_point[POINTS] = {d[0] - d[6] + 5.25f * (d[4] - d[2]), even + odd,           even - odd,
                                        even_2 + odd_2,                      even_2 - odd_2,       even_half + odd_half,
                                        even_half - odd_half,                d[7] - d[1] + 5.25f * (d[3] - d[5])};
                UNROLL
                for (int i = 0; i < POINTS; i++) store(to + (size_t)i * point + c, at_point[i]);
            }
        }
    }
}

/* Four outputs of a vector of channels from their products at the points. */
INLINE void winograd_outputs(const float *from, size_t point, Vec *to) {
    Vec m[POINTS];
    UNROLL
    for (int i = 0; i < POINTS; i++) m[i] = load(from + (size_t)i * point);
    Vec sum = m[1] + m[2], sum_2 = m[3] + m[4], sum_half = m[5] + m[6];
    Vec less = m[1] - m[2], less_2 = m[3] - m[4], less_half = m[5] - m[6];
    to[0] = m[0] + sum + sum_2 + sum_half;
    to[1] = less + 2.0f * less_2 + 0.5f * less_half;
    to[2] = sum + 4.0f * sum_2 + 0.25f * sum_half;
    to[3] = less + 8.0f * less_2 + 0.125f * less_half + m[7];
}

/* Two rows of four outputs are two windows of the pool. */
INLINE void winograd_pool(const fj_float_layer *at, size_t image, int first, int width, const float *from,
                          size_t point) {
    int tiles = at->shape.out_w * 2 / OUTPUTS;
    for (int tile = 0; tile < at->shape.out_h * tiles; tile++) {
        int y = tile / tiles, t = tile % tiles;
        const float *upper = from + (2 * y * tiles + t) * width, *lower = upper + tiles * width;
        for (int j = 0; j < width && first + j < at->shape.out_c; j += LANES) {
            int last = channels_of_last(at->shape.out_c, first + j, 1);
            Vec up[OUTPUTS], down[OUTPUTS], most;
            winograd_outputs(upper + j, point, up);
            winograd_outputs(lower + j, point, down);
            for (int i = 0; i < 2; i++) {
                size_t cell = (size_t)(y * at->shape.out_w + 2 * t + i);
                Vec window[4] = {up[2 * i], up[2 * i + 1], down[2 * i], down[2 * i + 1]};
                unsigned char *winner = at->winner + (image * (size_t)at->cells + cell) * (size_t)at->channels;
                pool(window, 1, at->bias + first + j, &most, winner + first + j);
                store_channels(at->out.data + image * at->out.image + at->out.at[cell] + first + j, &most, 1, last);
            }
        }
    }
}

INLINE void winograd_tile(const fj_float_layer *at, int nv, const float *x, int count, const float *w, float *to) {
    const float *in[WIDE];
    Vec sum[MOST_SUMS];
    int in_c = at->shape.in_c, row = at->shape.out_w * 2 / OUTPUTS * in_c;
    for (int i = 0; i < WIDE; i++) in[i] = x + (i < count ? i : 0) * in_c;
    multiply(sum, WIDE, nv, in, at->shape.kernel, (size_t)row, in_c, w);
    for (int i = 0; i < count * nv; i++) store(to + i * LANES, sum[i]);
}

/* One image. */
static void winograd_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int in_c = at->shape.in_c, inputs = at->shape.kernel * in_c, tiles = at->shape.out_w * 2 / OUTPUTS;
    int places = 2 * at->shape.out_h * tiles;
    size_t point = (size_t)((2 * at->shape.out_h + at->shape.kernel - 1) * tiles * in_c + LANES);
    float *x = at->scratch[thread], *products = x + POINTS * point;
    winograd_inputs(at, at->input.data + (size_t)task * at->input.image, x, point);
    for (int first = 0; first < at->shape.out_c; first += at->width) {
        int width = block_width(at->channels, first, at->width);
        if (few(at, first)) {
            int begin = task * at->places;
            for (int o = first; o < at->shape.out_c; o += 2) forward_few(at, o, begin, begin + at->places);
            break;
        }
        for (int i = 0; i < POINTS; i++) {
            const float *w = at->points + (size_t)((first * POINTS + i * width) * inputs);
            for (int m = 0; m < places; m += WIDE) {
                float *to = products + (size_t)((i * places + m) * width);
                const float *from = x + (size_t)i * point + (size_t)(m * in_c);
                int count = places - m < WIDE ? places - m : WIDE;
                if (width == LANES) winograd_tile(at, 1, from, count, w, to);
                else if (width == 2 * LANES) winograd_tile(at, 2, from, count, w, to);
                else winograd_tile(at, 3, from, count, w, to);
            }
        }
        winograd_pool(at, (size_t)task, first, width, products, (size_t)(places * width));
    }
}
