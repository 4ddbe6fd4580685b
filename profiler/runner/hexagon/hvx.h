/* What the HVX kernels share: the intrinsics, and the pieces that they are put together from. */
#ifndef FJ_HVX_H
#define FJ_HVX_H

#include <hexagon_types.h>
#include <hvx_hexagon_protos.h>

#include "dsp.h"

static inline HVX_Vector fj_load(const void *at) {
    return *(const HVX_UVector *)at;
}
static inline void fj_store(void *at, HVX_Vector value) {
    *(HVX_UVector *)at = value;
}
/* The first `count` bytes of a vector (all if there are more than 128), zeros after them. */
static inline HVX_Vector fj_first(HVX_Vector value, int count) {
    return count >= 128 ? value : Q6_V_vmux_QVV(Q6_Q_vsetq_R(count), value, Q6_V_vzero());
}

/* A product of bytes: out[m][n] (+)= start[m] + sum over k of left[m][k] * right[k][n].
 *
 * The left side is read as words of 4 bytes of k. The right side is in panels of 32 columns n: for each word one vector
 * of 32 columns by 4 bytes, biased by 128 since vrmpy wants one side unsigned. What the bias adds, 128 * the sum of the
 * row, the caller takes off through `start`. */
typedef struct {
    const int8_t *left;
    const int32_t *offset, *start;
    int rows, segments, words;
    ptrdiff_t segment_bytes, column_bytes;
    const HVX_Vector *panels;
    int panel_count;
    int32_t *out;
    int out_words; /* from row to row */
    int add;
} fj_hvx_product;

/* Row m lies at left + offset[m]: `segments` pieces that are `segment_bytes` apart, each of `words` words. */
void fj_hvx_multiply_rows(const fj_hvx_product *product);
/* Words of all rows m for one k side by side, those for the next k `column_bytes` further; one segment. */
void fj_hvx_multiply_columns(const fj_hvx_product *product);

/* sums[i] = the sum of the `bytes` bytes of row i, the rows one after the other; writes a multiple of 32 sums. */
void fj_hvx_sums(const int8_t *rows, int count, int bytes, int32_t *sums);

/* Panels of `columns` columns from 4 rows, a byte of each row in each word: vector j goes to out + j * apart. */
void fj_hvx_interleave(const int8_t *const row[4], int columns, HVX_Vector bias, HVX_Vector *out, size_t apart);
/* A panel of `words` vectors from up to 32 rows of weights, a word of each row in each vector. */
void fj_hvx_transpose(const int8_t *rows, int count, int words, HVX_Vector bias, HVX_Vector *out);

void fj_hvx_forward(const fj_dsp_shape *shape, const int8_t *image, const int8_t *weights, int32_t *out, void *scratch);
void fj_hvx_error(const fj_dsp_shape *shape, const int8_t *errors, const int8_t *weights, int32_t *out, void *scratch);
void fj_hvx_gradient(
    const fj_dsp_shape *shape, const int8_t *image, const int8_t *errors, int32_t *gradient, void *scratch);

uint32_t fj_hvx_largest(const int32_t *x, size_t count);
void fj_hvx_requantize(const int32_t *x, int rows, int channels, int shift, int8_t *out);
void fj_hvx_update(const int32_t *gradient, int rows, int width, int shift, int8_t *weights);

#endif
