/* The weights of an FP32 layer: from the model's order to the layer's own and back. */
#include <string.h>

#include "cpu.h"
#include "float_layer.h"

/* Where weights of an output stand: `count` of them, the first `place` in the model, each `apart` from the next. Columns
 * of a fully connected layer, rows of whole vectors, or blocks; pieces are numbered from 0 until `count` is 0. */
typedef struct {
    float *at;
    size_t place, count, apart;
} Piece;

static Piece in_columns(const fj_float_layer *at, int o, size_t number) {
    size_t place = number * at->columns, fan_in = fj_fan_in(&at->shape);
    size_t left = place < fan_in ? fan_in - place : 0;
    float *data = at->weights + (number * at->stacked + (size_t)o) * at->columns;
    return (Piece){data, place, left < at->columns ? left : at->columns, 1};
}

static Piece in_rows(const fj_float_layer *at, int o, size_t number) {
    size_t run = (size_t)at->run, row = number * (size_t)at->shape.out_c + (size_t)o;
    return (Piece){at->by_row + row * (size_t)at->span, number * run, number < (size_t)at->rows ? run : 0, 1};
}

static Piece in_blocks(const fj_float_layer *at, int o, size_t number) {
    int first = o / at->width * at->width; /* of its block; the last block may be narrower */
    int width = at->channels - first < at->width ? at->channels - first : at->width;
    size_t fan_in = fj_fan_in(&at->shape);
    return (Piece){at->weights + (size_t)first * fan_in + (size_t)(o - first), 0, number ? 0 : fan_in, (size_t)width};
}

typedef Piece (*Pieces)(const fj_float_layer *at, int o, size_t number);

static void set_pieces(fj_float_layer *at, Pieces piece, const float *weights) {
    for (int o = 0; o < at->shape.out_c; o++, weights += fj_fan_in(&at->shape)) {
        Piece to = piece(at, o, 0);
        for (size_t number = 1; to.count > 0; to = piece(at, o, number++)) {
            if (to.apart == 1) memcpy(to.at, weights + to.place, to.count * sizeof *weights);
            else
                for (size_t i = 0; i < to.count; i++) to.at[i * to.apart] = weights[to.place + i];
        }
    }
}

static void get_pieces(const fj_float_layer *at, Pieces piece, float *weights) {
    for (int o = 0; o < at->shape.out_c; o++, weights += fj_fan_in(&at->shape)) {
        Piece from = piece(at, o, 0);
        for (size_t number = 1; from.count > 0; from = piece(at, o, number++)) {
            if (from.apart == 1) memcpy(weights + from.place, from.at, from.count * sizeof *weights);
            else
                for (size_t i = 0; i < from.count; i++) weights[from.place + i] = from.at[i * from.apart];
        }
    }
}

/* What is only round must be zeros: training that diverged leaves there what is no number. */
void fj_float_layer_set(fj_float_layer *at, const float *weights) {
    fj_region regions[FJ_MOST_REGIONS];
    for (int i = fj_float_layer_regions(at, regions); i-- > 0;) memset(regions[i].at, 0, regions[i].bytes);
    if (at->weights) set_pieces(at, at->shape.kind == FJ_FC ? in_columns : in_blocks, weights);
    if (at->by_row) set_pieces(at, in_rows, weights);
    if (at->learns_bias) memcpy(at->bias, weights + at->shape.weights, (size_t)at->shape.out_c * sizeof *weights);
}

/* One more in the exponent of what is not finite reaches the sign. */
static inline __attribute__((always_inline)) uint32_t wrong_in(const float *values, size_t count, size_t apart) {
    uint32_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i * apart, sizeof bits);
        wrong |= (bits & 0x7fffffffu) + 0x00800000u;
    }
    return wrong;
}

#if defined(FJ_X86)
FJ_TARGET_PUSH(FJ_ISA_AVX512)
static uint32_t wrong_in_wide(const float *values, size_t count) {
    return wrong_in(values, count, 1);
}
FJ_TARGET_POP
#endif

static uint32_t wrong_of(const Piece *piece) {
#if defined(FJ_X86)
    if (piece->apart == 1 && fj_path_works(FJ_AVX512)) return wrong_in_wide(piece->at, piece->count);
#endif
    return piece->apart == 1 ? wrong_in(piece->at, piece->count, 1)
                             : wrong_in(piece->at, piece->count, piece->apart);
}

int fj_float_layer_finite(const fj_float_layer *at) {
    Pieces piece = at->by_row ? in_rows : at->shape.kind == FJ_FC ? in_columns : in_blocks;
    uint32_t wrong = wrong_in(at->bias, (size_t)at->shape.out_c, 1);
    for (int o = 0; o < at->shape.out_c; o++) {
        Piece from = piece(at, o, 0);
        for (size_t number = 1; from.count > 0; from = piece(at, o, number++)) wrong |= wrong_of(&from);
    }
    return wrong < 0x80000000u;
}

void fj_float_layer_get(const fj_float_layer *at, float *weights) {
    get_pieces(at, at->by_row ? in_rows : at->shape.kind == FJ_FC ? in_columns : in_blocks, weights);
    if (at->learns_bias) memcpy(weights + at->shape.weights, at->bias, (size_t)at->shape.out_c * sizeof *weights);
}
