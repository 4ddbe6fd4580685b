/* The weights of an INT8 layer: from the model's order to packed tiles and back. */
#include <string.h>

#include "int8_engine.h"

static int8_t *weight_at(const fj_int8_layer *layer, size_t output, size_t row) {
    size_t tile = (size_t)layer->kernels->columns;
    return layer->weights + output / tile * tile * layer->rows + (row / 4 * tile + output % tile) * 4 + row % 4;
}

/* A run of weights that are neighbours in the model and in the rows of a column. */
typedef struct {
    size_t place, row, length;
} Run;

/* Whole rows of the kernel where pixels have no round channels, else single taps. All begin with a step. */
static Run run_of(const fj_int8_layer *layer, size_t number) {
    size_t side = (size_t)layer->kernel, inputs = (size_t)layer->true_inputs;
    if (layer->inputs == layer->true_inputs)
        return (Run){number * side * inputs, number * layer->steps * 4, side * inputs};
    return (Run){number * inputs, fj_int8_row_of(layer, number * inputs), inputs};
}

static size_t runs_of(const fj_int8_layer *layer) {
    return (size_t)(layer->inputs == layer->true_inputs ? layer->kernel : layer->kernel * layer->kernel);
}

void fj_int8_set(fj_int8_engine *engine, int layer, const int8_t *mantissas, int exponent) {
    fj_int8_layer *of = &engine->layer[layer];
    size_t step = 4 * (size_t)of->kernels->columns, fan_in = fj_int8_fan_in(of), bytes = of->rows * of->columns;
    for (size_t output = 0; output < (size_t)of->outputs; output++) {
        for (size_t number = 0; number < runs_of(of); number++) {
            Run run = run_of(of, number);
            const int8_t *from = mantissas + output * fan_in + run.place;
            int8_t *to = weight_at(of, output, run.row);
            for (; run.length >= 4; run.length -= 4, from += 4, to += step) memcpy(to, from, 4);
            memcpy(to, from, run.length);
        }
    }
    for (size_t i = 0; i < bytes; i++) of->weights[i] = of->weights[i] < -127 ? -127 : of->weights[i];
    of->exponent = exponent, of->is_begun = 0;
}

int fj_int8_get(const fj_int8_engine *engine, int layer, int8_t *mantissas) {
    const fj_int8_layer *of = &engine->layer[layer];
    size_t step = 4 * (size_t)of->kernels->columns, fan_in = fj_int8_fan_in(of);
    for (size_t output = 0; output < (size_t)of->outputs; output++) {
        for (size_t number = 0; number < runs_of(of); number++) {
            Run run = run_of(of, number);
            const int8_t *from = weight_at(of, output, run.row);
            int8_t *to = mantissas + output * fan_in + run.place;
            for (; run.length >= 4; run.length -= 4, to += 4, from += step) memcpy(to, from, 4);
            memcpy(to, from, run.length);
        }
    }
    return of->exponent;
}

int fj_int8_regions(fj_int8_engine *engine, int layer, fj_region *regions) {
    fj_int8_layer *of = &engine->layer[layer];
    regions[0] = (fj_region){of->weights, of->rows * of->columns};
    regions[1] = (fj_region){of->start, (size_t)(of->kernel + 1) * of->columns * sizeof *of->start};
    regions[2] = (fj_region){&of->is_begun, sizeof of->is_begun};
    regions[3] = (fj_region){&of->exponent, sizeof of->exponent};
    return 4;
}

/* So few that a byte counts them, sixteen and more at once. */
static uint8_t saturated_of(const int8_t *weights, size_t few) {
    uint8_t found = 0;
    for (size_t i = 0; i < few; i++) found = (uint8_t)(found + ((weights[i] == 127) | (weights[i] == -127)));
    return found;
}

int64_t fj_int8_saturated(const fj_int8_engine *engine) {
    const size_t few = 240;
    int64_t count = 0;
    for (const fj_int8_layer *at = engine->layer; at < engine->layer + engine->layers; at++) {
        size_t all = at->rows * at->columns, i = 0; /* rows and columns that are only round hold zeros */
        for (; i + few <= all; i += few) count += saturated_of(at->weights + i, few);
        count += saturated_of(at->weights + i, all - i);
    }
    return count;
}
