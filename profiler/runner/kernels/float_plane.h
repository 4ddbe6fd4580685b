/* A pooled convolution of one plane (a grey image), for the vectors of the file that includes this: vectors of
 * neighbouring places instead of channels, because a plane has so few inputs for each output.
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
INLINE void pool_rows(const fj_float_layer *at, int o, int nc, Vec (*sum)[4], Vec *most, unsigned char *winner) {
    for (int c = 0; c < nc; c++, winner += at->cells + LANES) {
        Vec window[4] = {evens(sum[c][0], sum[c][1]), odds(sum[c][0], sum[c][1]),
                         evens(sum[c][2], sum[c][3]), odds(sum[c][2], sum[c][3])};
        Lanes which;
        most[c] = largest(window, 1, &which);
        most[c] = larger(most[c] + at->bias[o + c], (Vec){0});
        Bytes bytes = __builtin_convertvector(which, Bytes);
        memcpy(winner, &bytes, sizeof bytes);
    }
}

/* The winners of a plane are by channel, then by cell; what is past the end of a row is written over by the next. */
INLINE unsigned char *plane_winners(const fj_float_layer *at, size_t image, int o) {
    return at->winner + (image * (size_t)at->channels + (size_t)o) * (size_t)(at->cells + LANES);
}

/* LANES cells of a row by up to LANES channels from `o`. */
INLINE void plane_cells(const fj_float_layer *at, size_t image, int y, int x, int o) {
    int channels = channels_of_last(at->shape.out_c, o, 1), first = o / at->width * at->width;
    int width = block_width(at->channels, first, at->width);
    int cells = at->shape.out_w - x < LANES ? at->shape.out_w - x : LANES, cell = y * at->shape.out_w + x;
    const float *in = at->input.data + image * at->input.image + (size_t)(2 * y) * at->row + 2 * x;
    const float *w = at->weights + (size_t)(first * at->run) + (o - first);
    Vec most[LANES] = {{0}}, sum[PLANE_CHANNELS][4];
    int groups = (channels + PLANE_CHANNELS - 1) / PLANE_CHANNELS, c = 0;
    for (int left = groups; left > 0; left--) {
        int nc = (channels - c + left - 1) / left;
#define SUM_ROWS(n) sum_rows(at, n < PLANE_CHANNELS ? n : PLANE_CHANNELS, in, w + c, width, sum)
        WITH_VECTORS(nc, SUM_ROWS)
#undef SUM_ROWS
        pool_rows(at, o + c, nc, sum, most + c, plane_winners(at, image, o + c) + cell);
        c += nc;
    }
    float *out = at->out.data + image * at->out.image + o;
    transpose(most);
    for (int i = 0; i < cells; i++) store_channels(out + at->out.at[cell + i], &most[i], 1, channels);
}

/* One image. */
static void plane_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    (void)thread;
    for (int y = 0; y < at->shape.out_h; y++)
        for (int o = 0; o < at->shape.out_c; o += LANES)
            for (int x = 0; x < at->shape.out_w; x += LANES) plane_cells(at, (size_t)task, y, x, o);
}

typedef float Half __attribute__((vector_size(32))); /* a row of a kernel of up to eight */

/* The gradient of a channel's kernel, in rows of eight, from the winners of an image; two at a time. */
INLINE void plane_follow(int kernel, const Winners *of, const float *x, size_t row, float *to) {
    Half sum[2 * MOST_VECTORS] = {{0}};
    const int32_t *at = of->at;
    const float *error = of->error;
    int i = 0;
    for (; i + 2 <= of->count; i += 2, at += 2 * of->at_step, error += 2 * of->step) {
        const float *first = x + at[0], *second = x + at[of->at_step];
        UNROLL
        for (int k = 0; k < kernel; k++) {
            Half in, other;
            memcpy(&in, first + (size_t)k * row, sizeof in);
            memcpy(&other, second + (size_t)k * row, sizeof other);
            sum[k] += error[0] * in;
            sum[kernel + k] += error[of->step] * other;
        }
    }
    UNROLL
    for (int k = 0; k < kernel; k++) {
        Half in, before;
        memcpy(&in, x + (i < of->count ? *at : 0) + (size_t)k * row, sizeof in);
        memcpy(&before, to + 8 * k, sizeof before);
        sum[k] += sum[kernel + k] + before;
        if (i < of->count) sum[k] += *error * in;
        memcpy(to + 8 * k, &sum[k], sizeof sum[k]);
    }
}

/* Where the inputs of a channel's winners begin. */
INLINE void plane_find(const fj_float_layer *at, const unsigned char *winner, int32_t *to) {
    for (int cell = 0; cell < at->cells; cell += LANES) {
        Bytes bytes;
        Lanes from;
        memcpy(&bytes, winner + cell, sizeof bytes);
        memcpy(&from, at->wide.at + cell, sizeof from);
        Lanes which = __builtin_convertvector(bytes, Lanes);
        from += (which & 1) + (-(which >> 1) & (int32_t)at->row);
        memcpy(to + cell, &from, sizeof from);
    }
}

static void plane_gradient(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int width = at->group, first = task * width, out_c = at->shape.out_c, kernel = at->shape.kernel;
    int outs = out_c - first < width ? out_c - first : width;
    float *eights = at->scratch[thread], *gradient = eights + width * kernel * 8;
    int32_t *found = (int32_t *)(gradient + width * at->span);
    memset(eights, 0, (size_t)(width * kernel * 8) * sizeof *eights);
    for (int n = 0; n < at->batch; n++) {
        const float *x = at->input.data + (size_t)n * at->input.image;
        const float *error = at->error.data + (size_t)n * at->error.image + first;
        for (int o = 0; o < outs; o++) {
            Winners of = {found, error + o, 1, (size_t)out_c, at->cells};
            plane_find(at, plane_winners(at, (size_t)n, first + o), found);
#define PLANE_FOLLOW(n) plane_follow(n, &of, x, at->row, eights + o * kernel * 8)
            WITH_VECTORS(kernel, PLANE_FOLLOW)
#undef PLANE_FOLLOW
        }
    }
    for (int o = 0; o < outs; o++)
        for (int k = 0; k < at->span; k++)
            gradient[o * at->span + k] = k < at->run ? eights[(o * kernel + k / kernel) * 8 + k % kernel] : 0.0f;
    learn_group(at, first, outs, width, gradient);
    learn_bias(at, first, outs);
}
