/* The same kernels one number at a time, as the formulas say it: what the vectors must equal. */
#include <string.h>

#include "dsp.h"

static void forward(const fj_dsp_shape *s, const int8_t *image, const int8_t *weights, int32_t *out, void *scratch) {
    const int h = fj_dsp_out_h(s), w = fj_dsp_out_w(s), row = fj_dsp_row(s), c = fj_dsp_up(s->c, 4);
    const int wide = s->w + 2 * s->pad;
    (void)scratch;
    memset(out, 0, 4 * (size_t)fj_dsp_positions(s) * (size_t)fj_dsp_up(s->o, 32));
    for (int n = 0; n < s->batch; n++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++, out += fj_dsp_up(s->o, 32))
                for (int o = 0; o < s->o; o++)
                    for (int ky = 0; ky < s->kernel; ky++) {
                        const int8_t *a = image + ((n * (s->h + 2 * s->pad) + y + ky) * wide + x) * c;
                        const int8_t *b = weights + (o * s->kernel + ky) * row;
                        for (int i = 0; i < row; i++) out[o] += a[i] * b[i];
                    }
}

static void error(const fj_dsp_shape *s, const int8_t *errors, const int8_t *weights, int32_t *out, void *scratch) {
    const fj_dsp_shape back = fj_dsp_mirrored(s);
    const int k = s->kernel, c = fj_dsp_up(s->c, 4), o_up = fj_dsp_up(s->o, 4), wide = back.w + 2 * back.pad;
    (void)scratch;
    memset(out, 0, 4 * (size_t)s->batch * (size_t)(s->h * s->w) * (size_t)fj_dsp_up(s->c, 32));
    for (int n = 0; n < s->batch; n++)
        for (int y = 0; y < s->h; y++)
            for (int x = 0; x < s->w; x++, out += fj_dsp_up(s->c, 32))
                for (int ky = 0; ky < k; ky++)
                    for (int kx = 0; kx < k; kx++)
                        for (int o = 0; o < s->o; o++) {
                            const int place = (n * (back.h + 2 * back.pad) + y + ky) * wide + x + kx;
                            const int8_t *b = weights + ((o * k + k - 1 - ky) * k + k - 1 - kx) * c;
                            for (int i = 0; i < s->c; i++) out[i] += errors[place * o_up + o] * b[i];
                        }
}

static void gradient(const fj_dsp_shape *s, const int8_t *image, const int8_t *errors, int32_t *out, void *scratch) {
    const int h = fj_dsp_out_h(s), w = fj_dsp_out_w(s), row = fj_dsp_row(s), c = fj_dsp_up(s->c, 4);
    const int wide = s->w + 2 * s->pad, lanes = fj_dsp_up(row, 32);
    (void)scratch;
    memset(out, 0, 4 * (size_t)(s->o * s->kernel) * (size_t)lanes);
    for (int n = 0; n < s->batch; n++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++, errors += fj_dsp_up(s->o, 4))
                for (int o = 0; o < s->o; o++)
                    for (int ky = 0; ky < s->kernel; ky++) {
                        const int8_t *a = image + ((n * (s->h + 2 * s->pad) + y + ky) * wide + x) * c;
                        int32_t *g = out + (o * s->kernel + ky) * lanes;
                        for (int i = 0; i < row; i++) g[i] += errors[o] * a[i];
                    }
}

static uint32_t largest(const int32_t *x, size_t count) {
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++) most = fj_magnitude(x[i]) > most ? fj_magnitude(x[i]) : most;
    return most;
}

static void requantize(const int32_t *x, int rows, int channels, int shift, int8_t *out) {
    for (int r = 0; r < rows; r++, x += fj_dsp_up(channels, 32), out += fj_dsp_up(channels, 4))
        for (int i = 0; i < fj_dsp_up(channels, 4); i++) out[i] = (int8_t)fj_clip127(fj_round_nearest(x[i], shift));
}

static void update(const int32_t *gradient, int rows, int width, int shift, int8_t *weights) {
    for (int r = 0; r < rows; r++, gradient += fj_dsp_up(width, 32), weights += width)
        for (int i = 0; i < width; i++) {
            const int64_t fresh = (int64_t)weights[i] - fj_round_pseudo(gradient[i], shift);
            weights[i] = (int8_t)(fresh > 127 ? 127 : fresh < -127 ? -127 : fresh);
        }
}

static void relu(int8_t *x, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] = x[i] > 0 ? x[i] : 0;
}

static void pool(const int8_t *in, int batch, int h, int w, int c, int8_t *out, int8_t *where) {
    const int pixel = fj_dsp_up(c, 4);
    for (int n = 0; n < batch; n++)
        for (int y = 0; y < h / 2; y++)
            for (int x = 0; x < w / 2; x++)
                for (int i = 0; i < pixel; i++) {
                    int8_t place = 0, most = -128;
                    for (int8_t k = 0; k < 4; k++) {
                        const int8_t value = in[((n * h + 2 * y + k / 2) * w + 2 * x + k % 2) * pixel + i];
                        if (value > most) most = value, place = k;
                    }
                    *out++ = most, *where++ = place;
                }
}

static void unpool(const int8_t *errors, const int8_t *pooled, const int8_t *where, int batch, int h, int w, int c,
                   int8_t *out) {
    const int pixel = fj_dsp_up(c, 4);
    memset(out, 0, (size_t)(batch * h * w) * (size_t)pixel);
    for (int n = 0; n < batch; n++)
        for (int y = 0; y < h / 2; y++)
            for (int x = 0; x < w / 2; x++)
                for (int i = 0; i < pixel; i++, errors++, where++) {
                    const int at = (n * h + 2 * y + *where / 2) * w + 2 * x + *where % 2;
                    if (*pooled++ > 0) out[at * pixel + i] = *errors;
                }
}

static void mask(int8_t *errors, const int8_t *out, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (out[i] <= 0) errors[i] = 0;
}

static void pad_image(const int8_t *in, int batch, int h, int w, int c, int pad, int8_t *out) {
    const size_t row = (size_t)w * (size_t)fj_dsp_up(c, 4), side = (size_t)pad * (size_t)fj_dsp_up(c, 4);
    const size_t line = row + 2 * side, image = line * (size_t)(h + 2 * pad);
    memset(out, 0, image * (size_t)batch);
    for (int n = 0; n < batch; n++)
        for (int y = 0; y < h; y++, in += row)
            memcpy(out + (size_t)n * image + (size_t)(y + pad) * line + side, in, row);
}

const fj_dsp_kernels fj_dsp_scalar = {
    .forward = forward, .error = error, .gradient = gradient, .largest = largest, .requantize = requantize,
    .update = update, .relu = relu, .pool = pool, .unpool = unpool, .mask = mask, .pad = pad_image};
