/* The product of bytes that everything else is made of, in tiles of 4 rows by 64 columns. */
#include "hvx.h"

typedef int32_t Word __attribute__((may_alias));
typedef int64_t Words __attribute__((may_alias)); /* two of them, the first one low */

typedef enum { ROWS, COLUMNS } Side;

/* Every call has constants for `side`, `rows` and `wide`, so that the sums live in registers. */
static inline __attribute__((always_inline)) void tile(
    const fj_hvx_product *p, int row, int panel, const Side side, const int rows, const int wide) {
    const size_t depth = (size_t)p->segments * (size_t)p->words;
    const HVX_Vector *right = p->panels + (size_t)panel * depth, *second = right + (wide > 1 ? depth : 0);
    const ptrdiff_t column_bytes = p->column_bytes;
    const int words = p->words;
    const int8_t *segment[4];
    HVX_Vector sum[4][2];
    for (int r = 0; r < rows; r++) {
        const HVX_Vector *out = (const HVX_Vector *)(p->out + (size_t)(row + r) * (size_t)p->out_words) + panel;
        const HVX_Vector start = Q6_V_vsplat_R(p->start[row + r]);
        segment[r] = p->left + (side == ROWS ? p->offset[row + r] : 4 * (row + r));
        for (int j = 0; j < wide; j++) sum[r][j] = p->add ? Q6_Vw_vadd_VwVw(start, out[j]) : start;
    }
    for (int s = 0; s < p->segments; s++) {
        const Word *at[4];
        for (int r = 0; r < rows; r++) at[r] = (const Word *)segment[r], segment[r] += p->segment_bytes;
#pragma clang loop unroll(disable)
        for (int w = 0; w < words; w++) {
            const HVX_Vector first = *right++, other = *second++;
            for (int r = 0; r < rows; r++) {
                int32_t word;
                if (side == ROWS)
                    word = *at[r]++;
                else if (rows == 1)
                    word = *at[0];
                else
                    word = (int32_t)(((const Words *)at[0])[r / 2] >> 32 * (r % 2));
                sum[r][0] = Q6_Vw_vrmpyacc_VwVubRb(sum[r][0], first, word);
                if (wide > 1) sum[r][1] = Q6_Vw_vrmpyacc_VwVubRb(sum[r][1], other, word);
            }
            if (side == COLUMNS) at[0] = (const Word *)((const int8_t *)at[0] + column_bytes);
        }
    }
    for (int r = 0; r < rows; r++) {
        HVX_Vector *out = (HVX_Vector *)(p->out + (size_t)(row + r) * (size_t)p->out_words) + panel;
        for (int j = 0; j < wide; j++) out[j] = sum[r][j];
    }
}

static inline __attribute__((always_inline)) void tiles(const fj_hvx_product *p, const Side side) {
    int panel = 0;
    for (; panel + 2 <= p->panel_count; panel += 2) {
        int row = 0;
        for (; row + 4 <= p->rows; row += 4) tile(p, row, panel, side, 4, 2);
        for (; row < p->rows; row++) tile(p, row, panel, side, 1, 2);
    }
    if (panel == p->panel_count) return;
    int row = 0;
    for (; row + 4 <= p->rows; row += 4) tile(p, row, panel, side, 4, 1);
    for (; row < p->rows; row++) tile(p, row, panel, side, 1, 1);
}

void fj_hvx_multiply_rows(const fj_hvx_product *product) {
    const fj_hvx_product p = *product;
    tiles(&p, ROWS);
}

void fj_hvx_multiply_columns(const fj_hvx_product *product) {
    const fj_hvx_product p = *product;
    tiles(&p, COLUMNS);
}

/* 32 vectors of words to one: word i is the sum of vector i. Each turn halves their number. */
static HVX_Vector totals(HVX_Vector v[32]) {
    for (int apart = 1; apart < 32; apart *= 2)
        for (int i = 0; i < 32; i += 2 * apart) {
            const HVX_VectorPair pair = Q6_W_vshuff_VVR(v[i + apart], v[i], 4 * apart);
            v[i] = Q6_Vw_vadd_VwVw(Q6_V_lo_W(pair), Q6_V_hi_W(pair));
        }
    return v[0];
}

/* Sums of every fourth word of a row; `own` masks what the row's last vector has of the next row. */
static inline HVX_Vector total(const int8_t *row, int bytes, HVX_Vector own) {
    const HVX_Vector ones = Q6_V_vsplat_R(0x01010101);
    HVX_Vector sum = Q6_V_vzero();
    int k = 0;
    for (; k + 128 <= bytes; k += 128) sum = Q6_Vw_vrmpyacc_VwVubVb(sum, ones, fj_load(row + k));
    return k < bytes ? Q6_Vw_vrmpyacc_VwVubVb(sum, ones, Q6_V_vand_VV(fj_load(row + k), own)) : sum;
}

void fj_hvx_sums(const int8_t *rows, int count, int bytes, int32_t *sums) {
    const HVX_Vector own = fj_first(Q6_Vb_vsplat_R(-1), bytes % 128);
    for (int i = 0; i < count; i += 32) {
        HVX_Vector part[32];
        const int here = count - i < 32 ? count - i : 32;
        for (int j = 0; j < here; j++, rows += bytes) part[j] = total(rows, bytes, own);
        for (int j = here; j < 32; j++) part[j] = Q6_V_vzero();
        *(HVX_Vector *)(sums + i) = totals(part);
    }
}
