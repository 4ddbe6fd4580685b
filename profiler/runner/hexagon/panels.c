/* Bytes put in the order that the product reads its right side in. */
#include "hvx.h"

/* 4 rows of 128 bytes to 4 vectors of words. */
static inline void weave(const HVX_Vector line[4], HVX_Vector bias, HVX_Vector word[4]) {
    const HVX_VectorPair first = Q6_W_vshuff_VVR(line[1], line[0], -1), other = Q6_W_vshuff_VVR(line[3], line[2], -1);
    const HVX_VectorPair low = Q6_W_vshuff_VVR(Q6_V_lo_W(other), Q6_V_lo_W(first), -2);
    const HVX_VectorPair high = Q6_W_vshuff_VVR(Q6_V_hi_W(other), Q6_V_hi_W(first), -2);
    word[0] = Q6_V_vxor_VV(Q6_V_lo_W(low), bias), word[1] = Q6_V_vxor_VV(Q6_V_hi_W(low), bias);
    word[2] = Q6_V_vxor_VV(Q6_V_lo_W(high), bias), word[3] = Q6_V_vxor_VV(Q6_V_hi_W(high), bias);
}

void fj_hvx_interleave(const int8_t *const row[4], int columns, HVX_Vector bias, HVX_Vector *out, size_t apart) {
    const int8_t *a = row[0], *b = row[1], *c = row[2], *d = row[3];
    HVX_Vector word[4];
    int left = columns;
    for (; left >= 128; left -= 128, a += 128, b += 128, c += 128, d += 128, out += 4 * apart) {
        weave((HVX_Vector[4]){fj_load(a), fj_load(b), fj_load(c), fj_load(d)}, bias, word);
        out[0] = word[0], out[apart] = word[1], out[2 * apart] = word[2], out[3 * apart] = word[3];
    }
    if (left == 0) return;
    const HVX_Vector own = fj_first(Q6_Vb_vsplat_R(-1), left);
    weave((HVX_Vector[4]){Q6_V_vand_VV(fj_load(a), own), Q6_V_vand_VV(fj_load(b), own),
                          Q6_V_vand_VV(fj_load(c), own), Q6_V_vand_VV(fj_load(d), own)}, bias, word);
    for (int j = 0; 32 * j < left; j++, out += apart) *out = word[j];
}

/* Swaps words whose places differ in one bit: a step of transposing 32x32 words. */
static inline void exchange(HVX_Vector *low, HVX_Vector *high, int words) {
    const HVX_VectorPair pair = Q6_W_vshuff_VVR(*high, *low, 4 * words);
    *low = Q6_V_lo_W(pair), *high = Q6_V_hi_W(pair);
}

/* In two passes, of 8 and of 4 rows, since 32 rows are more than there are registers. */
static void transpose(HVX_Vector square[32]) {
    for (int group = 0; group < 32; group += 8) {
        HVX_Vector v[8];
        for (int i = 0; i < 8; i++) v[i] = square[group + i];
#pragma unroll
        for (int apart = 1; apart < 8; apart *= 2)
#pragma unroll
            for (int i = 0; i < 8; i++)
                if (!(i & apart)) exchange(&v[i], &v[i + apart], apart);
        for (int i = 0; i < 8; i++) square[group + i] = v[i];
    }
    for (int i = 0; i < 8; i++) {
        HVX_Vector a = square[i], b = square[i + 8], c = square[i + 16], d = square[i + 24];
        exchange(&a, &b, 8), exchange(&c, &d, 8);
        exchange(&a, &c, 16), exchange(&b, &d, 16);
        square[i] = a, square[i + 8] = b, square[i + 16] = c, square[i + 24] = d;
    }
}

void fj_hvx_transpose(const int8_t *rows, int count, int words, HVX_Vector bias, HVX_Vector *out) {
    for (int done = 0; done < words; done += 32) {
        HVX_Vector square[32];
        for (int i = 0; i < 32; i++)
            square[i] = i < count ? fj_load(rows + 4 * ((size_t)i * (size_t)words + (size_t)done)) : Q6_V_vzero();
        transpose(square);
        const int left = words - done;
        for (int i = 0; i < 32 && i < left; i++) *out++ = Q6_V_vxor_VV(square[i], bias);
    }
}
