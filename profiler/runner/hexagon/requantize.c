/* Words back to bytes: the largest magnitude, rounding to nearest, and the pseudo-stochastic update of the weights. */
#include "hvx.h"

uint32_t fj_hvx_largest(const int32_t *x, size_t count) {
    HVX_Vector most = Q6_V_vzero();
    /* -2^31 counts as 2^31-1: both are 31 bits wide. */
    for (const HVX_Vector *v = (const HVX_Vector *)x, *end = v + count / 32; v < end; v++)
        most = Q6_Vw_vmax_VwVw(most, Q6_Vw_vabs_Vw_sat(*v));
    for (int apart = 64; apart >= 4; apart /= 2) most = Q6_Vw_vmax_VwVw(most, Q6_V_vror_VR(most, apart));
    uint32_t word[32];
    fj_store(word, most);
    return word[0];
}

static inline HVX_Vector signed_like(HVX_Vector like, HVX_Vector magnitude) {
    const HVX_Vector sign = Q6_Vw_vasr_VwR(like, 31);
    return Q6_Vw_vsub_VwVw(Q6_V_vxor_VV(magnitude, sign), sign);
}

static inline HVX_Vector nearest(HVX_Vector x, int shift, HVX_Vector half) {
    return signed_like(x, Q6_Vuw_vlsr_VuwR(Q6_Vw_vadd_VwVw(Q6_Vw_vabs_Vw(x), half), shift));
}

/* fj_round_pseudo of rounding.h: up if the upper half of the cut bits is larger than the lower half. */
static inline HVX_Vector pseudo(HVX_Vector x, int shift, HVX_Vector rest_mask, HVX_Vector low_mask) {
    const HVX_Vector a = Q6_Vw_vabs_Vw(x), rest = Q6_V_vand_VV(a, rest_mask);
    const HVX_Vector high = Q6_Vuw_vlsr_VuwR(rest, shift / 2);
    const HVX_Vector low = Q6_Vw_vasl_VwR(Q6_V_vand_VV(rest, low_mask), shift % 2);
    const HVX_Vector whole = Q6_Vuw_vlsr_VuwR(a, shift);
    return signed_like(x, Q6_Vw_condacc_QVwVw(Q6_Q_vcmp_gt_VwVw(high, low), whole, Q6_V_vsplat_R(1)));
}

/* 4 vectors of words to one of bytes, clipped to +-127. */
static inline HVX_Vector narrow(HVX_Vector a, HVX_Vector b, HVX_Vector c, HVX_Vector d) {
    const HVX_Vector low = Q6_Vh_vpack_VwVw_sat(b, a), high = Q6_Vh_vpack_VwVw_sat(d, c);
    return Q6_Vb_vmax_VbVb(Q6_Vb_vpack_VhVh_sat(high, low), Q6_Vb_vsplat_R(-127));
}

void fj_hvx_requantize(const int32_t *x, int rows, int channels, int shift, int8_t *out) {
    size_t words = (size_t)fj_dsp_up(channels, 32), bytes = (size_t)fj_dsp_up(channels, 4);
    if (words == bytes) words *= (size_t)rows, bytes = words, rows = 1; /* no gaps: one long row */
    const HVX_Vector half = Q6_V_vsplat_R(shift > 0 ? 1 << (shift - 1) : 0);
    for (int r = 0; r < rows; r++, x += words, out += bytes) {
        /* What is written past a row's end is written over by the next row. */
        for (size_t i = 0; i < bytes; i += 128) {
            const HVX_Vector *v = (const HVX_Vector *)(x + i);
            fj_store(out + i, narrow(nearest(v[0], shift, half), nearest(v[1], shift, half),
                                     nearest(v[2], shift, half), nearest(v[3], shift, half)));
        }
    }
}

void fj_hvx_update(const int32_t *gradient, int rows, int width, int shift, int8_t *weights) {
    const HVX_Vector rest = Q6_V_vsplat_R((int32_t)((1u << shift) - 1)), low = Q6_V_vsplat_R((1 << (shift / 2)) - 1);
    for (int r = 0; r < rows; r++, gradient += fj_dsp_up(width, 32), weights += width)
        for (int i = 0; i < width; i += 128) {
            const HVX_Vector *g = (const HVX_Vector *)(gradient + i);
            const HVX_Vector old = fj_load(weights + i);
            const HVX_VectorPair half = Q6_Wh_vunpack_Vb(old);
            const HVX_VectorPair first = Q6_Ww_vunpack_Vh(Q6_V_lo_W(half)), last = Q6_Ww_vunpack_Vh(Q6_V_hi_W(half));
            const HVX_Vector fresh = narrow(Q6_Vw_vsub_VwVw_sat(Q6_V_lo_W(first), pseudo(g[0], shift, rest, low)),
                                            Q6_Vw_vsub_VwVw_sat(Q6_V_hi_W(first), pseudo(g[1], shift, rest, low)),
                                            Q6_Vw_vsub_VwVw_sat(Q6_V_lo_W(last), pseudo(g[2], shift, rest, low)),
                                            Q6_Vw_vsub_VwVw_sat(Q6_V_hi_W(last), pseudo(g[3], shift, rest, low)));
            if (width - i >= 128)
                fj_store(weights + i, fresh);
            else /* the bytes behind are the next row's */
                fj_store(weights + i, Q6_V_vmux_QVV(Q6_Q_vsetq_R(width - i), fresh, old));
        }
}
