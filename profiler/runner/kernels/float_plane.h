/* Forward through a pooled convolution of one plane (a grey image), for the vectors of the file that includes this:
 * vectors of neighbouring places instead of channels, because a plane has so few inputs for each output.
 */

/* Sums of two rows of 2 * LANES places for `nc` channels: sum[c] = upper left, upper right, lower left, lower right. */
INLINE void sum_rows(const fj_float_layer *at, int nc, const float *x, const float *w, int width, Vec (*sum)[4]) {
    Vec held[PLANE_CHANNELS][4] = {{{0}}};
    int kernel = at->shape.kernel;
    for (int ky = 0; ky < kernel; ky++, x += at->row) {
        for (int kx = 0; kx < kernel; kx++, w += width) {
            Vec in[4] = {load(x + kx), load(x + kx + LANES), load(x + at->row + kx), load(x + at->row + kx + LANES)};
            UNROLL
            for (int c = 0; c < nc; c++) {
                UNROLL
                for (int i = 0; i < 4; i++) held[c][i] += w[c] * in[i];
            }
        }
    }
    UNROLL
    for (int c = 0; c < nc; c++) {
        UNROLL
        for (int i = 0; i < 4; i++) sum[c][i] = held[c][i];
    }
}

/* Channels `o` to `o + nc` of LANES cells, of which the sums are neighbours: one vector each. */
INLINE void pool_rows(const fj_float_layer *at, int o, int nc, Vec (*sum)[4], Vec *most, Vec *winner) {
    for (int c = 0; c < nc; c++) {
        Vec window[4] = {evens(sum[c][0], sum[c][1]), odds(sum[c][0], sum[c][1]), evens(sum[c][2], sum[c][3]),
                         odds(sum[c][2], sum[c][3])};
        Lanes which;
        most[c] = largest(window, 1, &which);
        most[c] = larger(most[c] + at->bias[o + c], (Vec){0});
        winner[c] = (Vec)which;
    }
}

/* LANES cells of a row by up to LANES channels: turned, and stored by cell. */
INLINE void store_cells(const fj_float_layer *at, size_t image, int y, int x, int o, int channels, Vec *most, Vec *winner) {
    int cells = at->shape.out_w - x < LANES ? at->shape.out_w - x : LANES, cell = y * at->shape.out_w + x;
    const int32_t *to = at->out.at + cell;
    float *out = at->out.data + image * at->out.image + o;
    unsigned char *won = at->winner + (image * (size_t)at->cells + (size_t)cell) * (size_t)at->channels + o;
    transpose(most);
    transpose(winner);
    for (int i = 0; i < cells; i++, won += at->channels) {
        Bytes bytes = __builtin_convertvector((Lanes)winner[i], Bytes);
        memcpy(won, &bytes, sizeof bytes);
        store_channels(out + to[i], &most[i], 1, channels);
    }
}

INLINE void plane_cells(const fj_float_layer *at, size_t image, int y, int x, int o) {
    int channels = channels_of_last(at->shape.out_c, o, 1), first = o / at->width * at->width;
    int width = at->channels - first < at->width ? at->channels - first : at->width;
    const float *in = at->input.data + image * at->input.image + (size_t)(2 * y) * at->row + 2 * x;
    const float *w = at->weights + (size_t)(first * at->run) + (o - first);
    Vec most[LANES] = {{0}}, winner[LANES] = {{0}}, sum[PLANE_CHANNELS][4];
    int groups = (channels + PLANE_CHANNELS - 1) / PLANE_CHANNELS, c = 0;
    for (int left = groups; left > 0; left--) {
        int nc = (channels - c + left - 1) / left;
#define SUM_ROWS(n) sum_rows(at, n < PLANE_CHANNELS ? n : PLANE_CHANNELS, in, w + c, width, sum)
        WITH_VECTORS(nc, SUM_ROWS)
#undef SUM_ROWS
        pool_rows(at, o + c, nc, sum, most + c, winner + c);
        c += nc;
    }
    store_cells(at, image, y, x, o, channels, most, winner);
}

/* One image. */
static void plane_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    (void)thread;
    for (int y = 0; y < at->shape.out_h; y++)
        for (int o = 0; o < at->shape.out_c; o += LANES)
            for (int x = 0; x < at->shape.out_w; x += LANES) plane_cells(at, (size_t)task, y, x, o);
}
