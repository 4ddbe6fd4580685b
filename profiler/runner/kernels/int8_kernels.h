/* What a path (an instruction set) offers to the INT8 engine: products of tiles, and passes over rows.
 *
 * A product has two operands. The first holds activations or errors, four values in a row, spread to all lanes; paths
 * with vpdpbusd keep them as value ^ 0x80 (`bias`), which adds 128 times the second operand's sum, and `start` takes
 * that away again. The second is packed: [steps of 4 values][columns][4]. */
#ifndef FJ_INT8_KERNELS_H
#define FJ_INT8_KERNELS_H

#include <stddef.h>

#include "fedjoule.h"

/* How sums become mantissas. */
typedef struct {
    fj_rounding rounding;
    int shift;
    uint32_t key; /* of stochastic rounding, */
    uint32_t place; /* and the place of the first sum in its tensor */
} fj_int8_rounding;

/* Rows of weights that meet neighbouring inputs: `offset` bytes from a pixel's first input, then rows of zeros. */
typedef struct {
    size_t offset;
    int length, blank;
} fj_int8_stretch;

#define FJ_MOST_ROWS 12
#define FJ_MOST_COLUMNS 32
/* Bytes behind every buffer that whole vectors may touch. */
#define FJ_SLACK 512

typedef struct fj_int8_kernels {
    int rows, columns; /* of a tile; columns are a multiple of 16 */
    int steps;         /* of 4 values, multiplied at a time: counts of steps are multiples of it */
    uint8_t bias;

    /* out[row][column] = start[column] + sum over `runs` runs of `steps` steps: row[r] + run * line is where a row's
     * run begins. Gives the largest magnitude. Rows from `used` on must be copies of a used one and are not stored. */
    uint32_t (*multiply)(const uint8_t *const *row, int used, size_t line, int runs, size_t steps, const int8_t *packed,
                         const int32_t *start, int32_t *out, size_t stride);
    /* The same for a gradient: row r's 4 values of a step are at x + 4 * r, those of the next step x_step further,
     * and there may be several tiles of rows. Adds to what `out` holds unless `fresh`. */
    uint32_t (*accumulate)(const uint8_t *x, size_t x_step, int rows, size_t steps, const int8_t *packed,
                           const int32_t *start, int fresh, int32_t *out, size_t stride);
    /* The same, fresh, where the largest magnitude is known. */
    void (*accumulate_again)(const uint8_t *x, size_t x_step, int rows, size_t steps, const int8_t *packed,
                             const int32_t *start, int32_t *out, size_t stride);
    /* start[column] = - bias * sum of the column. */
    void (*begin)(const int8_t *packed, size_t steps, int32_t *start);

    /* One step of packed inputs: the same stretches of four pixels, interleaved; may write 60 bytes more. */
    void (*gather_inputs)(const uint8_t *const four[4], const fj_int8_stretch *stretch, int stretches, uint8_t *packed);
    /* One step of packed errors of four pixels, `used` columns of a tile, the others 0. */
    void (*gather_errors)(const uint8_t *const four[4], size_t used, int8_t *packed);
    /* Weights of one tile of inputs, packed by output: `quads` times 4 outputs, in tiles `apart` bytes apart. */
    void (*turn)(const int8_t *weights, size_t apart, size_t used, size_t quads, int8_t *packed);

    /* Rows of `channels` sums, `stride` apart: mantissas at the same distance, negative ones as 0 if `relu`. */
    void (*rescale)(const int32_t *sums, size_t pixels, size_t stride, size_t channels, int relu,
                    const fj_int8_rounding *how, int8_t *out);
    /* The largest of each 2x2 window of two rows of pixels, and the first place (0 to 3) that holds it. */
    void (*pool)(const int8_t *upper, const int8_t *lower, size_t pixels, size_t stride, int8_t *out, uint8_t *winner);
    /* A row of pixels to another distance, with value ^ flip. */
    void (*put)(const int8_t *from, size_t stride, size_t pixels, size_t channels, uint8_t flip, uint8_t *to,
                size_t to_stride);
    /* Errors where `active` (biased) is positive, else 0. */
    void (*mask)(const uint8_t *active, size_t active_stride, size_t pixels, size_t channels, int8_t *errors,
                 size_t stride);
    /* Errors of a row of pooled pixels to the winners' places in two rows, biased; 0 elsewhere. */
    void (*unpool)(const int8_t *errors, size_t stride, const uint8_t *winner, size_t winner_stride, size_t pixels,
                   size_t channels, uint8_t *upper, uint8_t *lower, size_t to_stride);
    /* One tile of packed weights <- clip(weights - rounded gradient), whose rows are `stride` apart. Row r, column c
     * has the place how->place + place[r] + c * apart; `largest` is the gradient's largest magnitude. */
    void (*update)(const int32_t *gradient, size_t stride, size_t steps, const fj_int8_rounding *how, uint32_t largest,
                   const uint32_t *place, size_t apart, int8_t *weights);
    /* The weight of each logit in the softmax (exponents of -16 to 20), and their sum; 2048 times each one's share of it,
     * and the sum of these. */
    double (*weigh)(const int8_t *logits, size_t classes, int exponent, double *p);
    int32_t (*share)(const double *p, size_t classes, double sum, int32_t *shares);
    /* log of the sum of e^((logit - most) * scale); the first place of the largest logit. */
    double (*log_of_sum)(const int8_t *logits, size_t classes, int most, float scale);
    int (*largest_logit)(const int8_t *logits, size_t classes);
    int (*quantize)(const float *x, size_t count, int8_t *mantissas);

    /* The same with tiles of fewer columns, for layers with so few outputs; NULL if there are none. */
    const struct fj_int8_kernels *narrow;
    /* A layer whose input is one channel, its sums and errors as planes (see int8_plane.c); NULL: as any other layer. */
    const struct fj_int8_plane_kernels *plane;
    /* The error of an input whose channels fill vectors of sums evenly (see int8_lines.c); NULL: as any other. */
    const struct fj_int8_line_kernels *lines;
} fj_int8_kernels;

/* A line of an input is cut into vectors of sums. Neighbouring errors that meet one of them by a row of the kernel: four
 * outputs of an error a step, and the weights of as many lanes. */
#define FJ_INT8_LANES 16

typedef struct {
    const uint8_t *errors; /* of the first image */
    const int8_t *weights; /* [step][lane][4] */
    size_t steps;
} fj_int8_meeting;

typedef struct fj_int8_line_kernels {
    /* A vector of sums of each of `images` images, whose errors are `image` bytes and whose sums are `apart` numbers from
     * each other, by all `meetings`; only the first `lanes` count. Gives their largest magnitude. */
    uint32_t (*back)(const fj_int8_meeting *meeting, size_t meetings, size_t images, size_t image, size_t lanes,
                     int32_t *sums, size_t apart);
    /* Squares of four outputs and four inputs, as the forward weights have them, to four lanes of one step each. */
    void (*turn)(const int8_t *weights, size_t groups, int8_t *lanes);
} fj_int8_line_kernels;

/* A plane of sums, and how it is made of an image. Places of a plane are those of the image, line by line: what the last
 * columns of a line meet, is no sum of the layer's and `valid` (0 or -1) for them is 0. */
typedef struct {
    size_t line, places; /* places: up to the last sum, in whole vectors */
    size_t kernel, steps, columns, outputs;
    const int8_t *weights; /* [ky][steps][columns][4] */
    const int32_t *start;  /* [columns]: what sums begin with */
    const int32_t *valid;
} fj_int8_plane;

/* Whole vectors of places and of cells; a place's window may begin at any byte of the image. */
#define FJ_INT8_PLACES 64
#define FJ_INT8_CELLS 16

typedef struct fj_int8_plane_kernels {
    /* Sums [outputs][apart] of an image. Gives the largest magnitude of those that are valid. */
    uint32_t (*forward)(const fj_int8_plane *plane, const uint8_t *image, int32_t *sums, size_t apart);
    /* A row ky of the gradient, [4 * steps][columns], of images `image` bytes and planes of errors `apart` bytes from
     * each other, [images][outputs]; `at` is where the first meets that row. Rows and columns that are only round are 0.
     * Gives the largest magnitude. */
    uint32_t (*gradient)(const fj_int8_plane *plane, const uint8_t *at, size_t image, size_t images,
                         const int8_t *errors, size_t apart, int32_t *gradient);
    /* Cells of two lines of mantissas: the largest of each window and its place, FJ_INT8_CELLS at a time. The place is
     * 4 or more where ReLU leaves nothing of it. */
    void (*pool)(const int8_t *upper, const int8_t *lower, size_t cells, int8_t *out, uint8_t *winner);
    /* And back: errors to the winners' places, zeros to the others; past the end of the lines, too. */
    void (*spread)(const int8_t *errors, const uint8_t *winner, size_t cells, int8_t *upper, int8_t *lower);
    /* FJ_INT8_CELLS of four planes -> cells of four channels, and back. */
    void (*join)(const int8_t *const plane[4], uint8_t flip, uint8_t *cells);
    void (*part)(const uint8_t *cells, int8_t *const plane[4]);
} fj_int8_plane_kernels;

extern const fj_int8_kernels fj_int8_scalar;
extern const fj_int8_kernels fj_int8_avx2;
extern const fj_int8_kernels fj_int8_avx512;
extern const fj_int8_kernels fj_int8_vnni, fj_int8_vnni_narrow;
extern const fj_int8_kernels fj_int8_neon;
extern const fj_int8_kernels fj_int8_dotprod;
extern const fj_int8_kernels fj_int8_i8mm;

/* The kernels of a path; those of FJ_SCALAR if this build has none. */
const fj_int8_kernels *fj_int8_kernels_of(fj_path path);

#endif
