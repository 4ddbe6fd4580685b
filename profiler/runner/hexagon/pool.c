/* What only moves and compares bytes: ReLU, 2x2 maxima, their way back, padding. And the table of all HVX kernels. */
#include "hvx.h"

static void relu(int8_t *x, size_t count) {
    for (HVX_Vector *v = (HVX_Vector *)x, *end = v + (count + 127) / 128; v < end; v++)
        *v = Q6_Vb_vmax_VbVb(*v, Q6_V_vzero());
}

static void mask(int8_t *errors, const int8_t *out, size_t count) {
    const HVX_Vector *o = (const HVX_Vector *)out;
    for (HVX_Vector *v = (HVX_Vector *)errors, *end = v + (count + 127) / 128; v < end; v++)
        *v = Q6_V_vmux_QVV(Q6_Q_vcmp_gt_VbVb(*o++, Q6_V_vzero()), *v, Q6_V_vzero());
}

/* Pixels are written in rising order, so that what overruns one is written over by the next. */
static void pool(const int8_t *in, int batch, int h, int w, int c, int8_t *out, int8_t *where) {
    const size_t pixel = (size_t)fj_dsp_up(c, 4);
    const HVX_Vector one = Q6_Vb_vsplat_R(1), two = Q6_Vb_vsplat_R(2), three = Q6_Vb_vsplat_R(3);
    for (int n = 0; n < batch; n++)
        for (int y = 0; y < h / 2; y++) {
            const int8_t *upper = in + (size_t)((n * h + 2 * y) * w) * pixel, *lower = upper + (size_t)w * pixel;
            for (int x = 0; x < w / 2; x++, upper += 2 * pixel, lower += 2 * pixel, out += pixel, where += pixel)
                for (size_t i = 0; i < pixel; i += 128) {
                    const HVX_Vector a = fj_load(upper + i), b = fj_load(upper + pixel + i);
                    const HVX_Vector d = fj_load(lower + i), e = fj_load(lower + pixel + i);
                    const HVX_Vector top = Q6_Vb_vmax_VbVb(a, b), low = Q6_Vb_vmax_VbVb(d, e);
                    const HVX_Vector of_top = Q6_V_vmux_QVV(Q6_Q_vcmp_gt_VbVb(b, a), one, Q6_V_vzero());
                    const HVX_Vector of_low = Q6_V_vmux_QVV(Q6_Q_vcmp_gt_VbVb(e, d), three, two);
                    fj_store(out + i, Q6_Vb_vmax_VbVb(top, low));
                    fj_store(where + i, Q6_V_vmux_QVV(Q6_Q_vcmp_gt_VbVb(low, top), of_low, of_top));
                }
        }
}

static void clear(int8_t *at, size_t count) {
    for (size_t i = 0; i < count; i += 128) fj_store(at + i, Q6_V_vzero());
}

/* One row of the input: the two places 0 and 1, or 2 and 3, of each 2x2. */
static int8_t *unpool_row(
    const int8_t *errors, const int8_t *pooled, const int8_t *where, int w, size_t pixel, int first, int8_t *out) {
    for (int x = 0; x < w / 2; x++, errors += pixel, pooled += pixel, where += pixel)
        for (int place = first; place < first + 2; place++, out += pixel)
            for (size_t i = 0; i < pixel; i += 128) {
                const HVX_VectorPred above = Q6_Q_vcmp_gt_VbVb(fj_load(pooled + i), Q6_V_vzero());
                const HVX_VectorPred here = Q6_Q_vcmp_eq_VbVb(fj_load(where + i), Q6_Vb_vsplat_R(place));
                fj_store(out + i, Q6_V_vmux_QVV(Q6_Q_and_QQ(above, here), fj_load(errors + i), Q6_V_vzero()));
            }
    if (w % 2) clear(out, pixel), out += pixel;
    return out;
}

static void unpool(const int8_t *errors, const int8_t *pooled, const int8_t *where, int batch, int h, int w, int c,
                   int8_t *out) {
    const size_t pixel = (size_t)fj_dsp_up(c, 4), row = (size_t)(w / 2) * pixel;
    for (int n = 0; n < batch; n++) {
        for (int y = 0; y < h / 2; y++, errors += row, pooled += row, where += row)
            for (int first = 0; first < 4; first += 2)
                out = unpool_row(errors, pooled, where, w, pixel, first, out);
        if (h % 2) clear(out, (size_t)w * pixel), out += (size_t)w * pixel;
    }
}

static void pad(const int8_t *in, int batch, int h, int w, int c, int pad, int8_t *out) {
    const size_t pixel = (size_t)fj_dsp_up(c, 4), row = (size_t)w * pixel, side = (size_t)pad * pixel;
    const size_t edge = (size_t)pad * (row + 2 * side);
    for (int n = 0; n < batch; n++) {
        clear(out, edge), out += edge;
        for (int y = 0; y < h; y++, in += row, out += row) {
            clear(out, side), out += side;
            for (size_t i = 0; i < row; i += 128) fj_store(out + i, fj_load(in + i));
            clear(out + row, side);
            out += side;
        }
        clear(out, edge), out += edge;
    }
}

const fj_dsp_kernels fj_dsp_hvx = {
    .forward = fj_hvx_forward, .error = fj_hvx_error, .gradient = fj_hvx_gradient, .largest = fj_hvx_largest,
    .requantize = fj_hvx_requantize, .update = fj_hvx_update, .relu = relu, .pool = pool,
    .unpool = unpool, .mask = mask, .pad = pad};
