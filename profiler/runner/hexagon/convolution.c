/* Convolution forward, back and for the weights, as products of bytes without an unfolded copy of the image. */
#include <string.h>

#include "hvx.h"

#define BLOCK 512 /* positions of a gradient's panels: they should stay in the second-level cache */

static size_t up(size_t bytes) {
    return (bytes + 127) / 128 * 128;
}

static size_t convolution_scratch(const fj_dsp_shape *s) {
    const size_t pixels = (size_t)s->batch * (size_t)(s->h + 2 * s->pad) * (size_t)(s->w + 2 * s->pad);
    const size_t weights = (size_t)fj_dsp_up(s->o, 32) * (size_t)(s->kernel * fj_dsp_row(s));
    return weights + 2 * up(4 * (size_t)fj_dsp_positions(s) + 128) + up(4 * (pixels + 31)) + 4 * FJ_DSP_SLACK;
}

size_t fj_dsp_scratch(const fj_dsp_shape *s) {
    const fj_dsp_shape back = fj_dsp_mirrored(s);
    const size_t o = (size_t)fj_dsp_up(s->o, 32), row = (size_t)fj_dsp_up(fj_dsp_row(s), 32);
    const size_t sizes[] = {convolution_scratch(s), convolution_scratch(&back),
                            BLOCK * (o + row + 4) + 4 * o + (size_t)fj_dsp_up(s->o, 4) + row + 4 * FJ_DSP_SLACK};
    size_t most = 0;
    for (int i = 0; i < 3; i++) most = sizes[i] > most ? sizes[i] : most;
    return most;
}

static void *carve(char **scratch, size_t bytes) {
    void *piece = *scratch;
    *scratch += up(bytes);
    return piece;
}

/* Where each output's window begins in the image, and -128 * the sum of the window. */
static void windows(const fj_dsp_shape *s, const int32_t *pixel, int32_t *offset, int32_t *start) {
    const int h = fj_dsp_out_h(s), w = fj_dsp_out_w(s), c = fj_dsp_up(s->c, 4), wide = s->w + 2 * s->pad;
    for (int n = 0; n < s->batch; n++)
        for (int y = 0; y < h; y++, offset += w, start += w) {
            const int first = (n * (s->h + 2 * s->pad) + y) * wide;
            for (int x = 0; x < w; x++) offset[x] = (first + x) * c;
            for (int x = 0; x < w; x += 32) {
                HVX_Vector sum = Q6_V_vzero();
                for (int ky = 0; ky < s->kernel; ky++)
                    for (int kx = 0; kx < s->kernel; kx++)
                        sum = Q6_Vw_vadd_VwVw(sum, fj_load(pixel + first + ky * wide + x + kx));
                /* What is written past the row's end is written over by the next row. */
                fj_store(start + x, Q6_Vw_vsub_VwVw(Q6_V_vzero(), Q6_Vw_vasl_VwR(sum, 7)));
            }
        }
}

static void convolve(
    const fj_dsp_shape *s, const int8_t *image, const HVX_Vector *panels, int32_t *out, char *scratch) {
    const int high = s->h + 2 * s->pad, wide = s->w + 2 * s->pad, c = fj_dsp_up(s->c, 4);
    const int rows = fj_dsp_positions(s), pixels = s->batch * high * wide;
    int32_t *offset = carve(&scratch, 4 * (size_t)rows), *start = carve(&scratch, 4 * (size_t)rows + 128);
    int32_t *pixel = carve(&scratch, 4 * (size_t)(pixels + 31));
    fj_hvx_sums(image, pixels, c, pixel);
    windows(s, pixel, offset, start);
    fj_hvx_multiply_rows(&(fj_hvx_product){
        .left = image, .offset = offset, .start = start, .rows = rows, .segments = s->kernel,
        .words = fj_dsp_row(s) / 4, .segment_bytes = (ptrdiff_t)wide * c, .panels = panels,
        .panel_count = fj_dsp_up(s->o, 32) / 32, .out = out, .out_words = fj_dsp_up(s->o, 32)});
}

void fj_hvx_forward(const fj_dsp_shape *s, const int8_t *image, const int8_t *weights, int32_t *out, void *scratch) {
    const int words = s->kernel * fj_dsp_row(s) / 4;
    char *rest = scratch;
    HVX_Vector *panels = carve(&rest, (size_t)fj_dsp_up(s->o, 32) * 4 * (size_t)words);
    for (int o = 0; o < s->o; o += 32)
        fj_hvx_transpose(weights + (size_t)o * 4 * (size_t)words, s->o - o, words, Q6_V_vsplat_R((int32_t)0x80808080),
                         panels + (size_t)(o / 32) * (size_t)words);
    convolve(s, image, panels, out, rest);
}

/* The right side of the way back: ky and kx turned round, words of 4 outputs, columns of inputs. */
static void flip(const fj_dsp_shape *s, const int8_t *weights, HVX_Vector *panels) {
    const int k = s->kernel, c = fj_dsp_up(s->c, 4), groups = fj_dsp_up(s->o, 4) / 4;
    const size_t filter = (size_t)k * (size_t)fj_dsp_row(s), apart = (size_t)(k * k * groups);
    for (int place = 0; place < k * k; place++) {
        const int8_t *at = weights + (size_t)(k * k - 1 - place) * (size_t)c;
        for (int g = 0; g < groups; g++) {
            /* The outputs beyond the last meet errors of zero: any weights will do, the last one's are at hand. */
            const int8_t *row[4];
            for (int r = 0; r < 4; r++) row[r] = at + filter * (size_t)(4 * g + r < s->o ? 4 * g + r : s->o - 1);
            fj_hvx_interleave(row, c, Q6_V_vsplat_R((int32_t)0x80808080), panels + (size_t)(place * groups + g), apart);
        }
    }
}

void fj_hvx_error(const fj_dsp_shape *s, const int8_t *errors, const int8_t *weights, int32_t *out, void *scratch) {
    const fj_dsp_shape back = fj_dsp_mirrored(s);
    char *rest = scratch;
    HVX_Vector *panels = carve(&rest, (size_t)fj_dsp_up(back.o, 32) * (size_t)(back.kernel * fj_dsp_row(&back)));
    flip(s, weights, panels);
    convolve(&back, errors, panels, out, rest);
}

/* Where the windows of a block of positions begin in the image; counts on from the position that was last. */
typedef struct {
    int n, y, x;
} Position;

static Position places(const fj_dsp_shape *s, Position at, int count, int32_t *offset) {
    const int h = fj_dsp_out_h(s), w = fj_dsp_out_w(s), c = fj_dsp_up(s->c, 4), wide = s->w + 2 * s->pad;
    for (int i = 0; i < count; i++) {
        offset[i] = ((at.n * (s->h + 2 * s->pad) + at.y) * wide + at.x) * c;
        if (++at.x < w) continue;
        at.x = 0;
        if (++at.y < h) continue;
        at.y = 0, at.n++;
    }
    return at;
}

void fj_hvx_gradient(
    const fj_dsp_shape *s, const int8_t *image, const int8_t *errors, int32_t *gradient, void *scratch) {
    const int rows = fj_dsp_positions(s), outputs = fj_dsp_up(s->o, 4), lanes = fj_dsp_up(s->o, 32);
    const int width = fj_dsp_row(s), columns_up = fj_dsp_up(width, 32);
    const ptrdiff_t line = (ptrdiff_t)(s->w + 2 * s->pad) * fj_dsp_up(s->c, 4);
    const HVX_Vector none = Q6_V_vzero(), bias = Q6_V_vsplat_R((int32_t)0x80808080), ones = Q6_V_vsplat_R(0x01010101);
    char *rest = scratch;
    HVX_Vector *left = carve(&rest, BLOCK * (size_t)lanes), *right = carve(&rest, BLOCK * (size_t)columns_up);
    int32_t *start = carve(&rest, 4 * (size_t)lanes), *offset = carve(&rest, 4 * BLOCK);
    Position position = {0, 0, 0};
    int8_t *zeros = carve(&rest, (size_t)(outputs > width ? outputs : width) + 128);
    memset(zeros, 0, (size_t)(outputs > width ? outputs : width) + 128);
    for (int first = 0; first < rows; first += BLOCK) {
        const int here = rows - first < BLOCK ? rows - first : BLOCK, groups = fj_dsp_up(here, 4) / 4;
        position = places(s, position, here, offset);
        for (int g = 0; g < groups; g++) {
            const int8_t *row[4];
            for (int r = 0; r < 4; r++)
                row[r] = 4 * g + r < here ? errors + (size_t)(first + 4 * g + r) * (size_t)outputs : zeros;
            fj_hvx_interleave(row, outputs, none, left + (size_t)g * (size_t)(lanes / 32), 1);
        }
        for (int j = 0; j < lanes / 32; j++) {
            HVX_Vector sum = Q6_V_vzero();
            for (int g = 0; g < groups; g++) sum = Q6_Vw_vrmpyacc_VwVubVb(sum, ones, left[g * (lanes / 32) + j]);
            ((HVX_Vector *)start)[j] = Q6_Vw_vsub_VwVw(Q6_V_vzero(), Q6_Vw_vasl_VwR(sum, 7));
        }
        for (int ky = 0; ky < s->kernel; ky++) {
            for (int g = 0; g < groups; g++) {
                const int8_t *row[4];
                for (int r = 0; r < 4; r++) row[r] = 4 * g + r < here ? image + offset[4 * g + r] + ky * line : zeros;
                fj_hvx_interleave(row, width, bias, right + g, (size_t)groups);
            }
            fj_hvx_multiply_columns(&(fj_hvx_product){
                .left = (const int8_t *)left, .start = start, .rows = s->o, .segments = 1,
                .words = groups, .column_bytes = 4 * lanes, .panels = right, .panel_count = columns_up / 32,
                .out = gradient + (size_t)ky * (size_t)columns_up, .out_words = s->kernel * columns_up,
                .add = first > 0});
        }
    }
}
