/* Many steps in one call: batches are gathered, looked up and trained one after the other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"

#define LINE 64
#define LOSS_UNITS 1048576.0

static size_t image_bytes(const fj_network *network) {
    return (size_t)network->model.h * (size_t)network->model.w * (size_t)network->model.c;
}

static size_t value_bytes(const fj_network *network) {
    return network->precision == FJ_FP32 ? sizeof(float) : 1;
}

/* Labels lie behind the images. */
static int32_t *labels_room(const fj_network *network) {
    size_t bytes = (size_t)network->batch_size * image_bytes(network) * value_bytes(network);
    return (int32_t *)(void *)((char *)network->input + (bytes + LINE - 1) / LINE * LINE);
}

static int has_room(fj_network *network) {
    size_t images = (size_t)network->batch_size;
    if (!network->input)
        network->input = malloc(images * (image_bytes(network) * value_bytes(network) + sizeof(int32_t)) + LINE);
    return network->input != NULL;
}

static fj_end check(const fj_network *network, const fj_batches *of, int64_t *at) {
    for (*at = 0; *at < of->batches; ++*at) {
        int64_t first = of->bounds[*at], end = of->bounds[*at + 1];
        if (first < 0 || end <= first || end > of->ordered || end - first > network->batch_size) return FJ_WRONG_BOUNDS;
    }
    for (int64_t batch = 0; batch < of->batches; batch++) {
        for (*at = of->bounds[batch]; *at < of->bounds[batch + 1]; ++*at) {
            int32_t sample = of->order[*at];
            if (sample < 0 || sample >= of->samples) return FJ_WRONG_SAMPLE;
            if (of->labels[sample] < 0 || of->labels[sample] >= network->model.classes) return FJ_WRONG_LABEL;
        }
    }
    return FJ_DONE;
}

/* One channel's pixels, `apart` numbers from each other. */
static void look_up_floats(const uint8_t *restrict from, size_t count, size_t apart, const float *restrict table,
                           float *restrict to) {
    for (size_t i = 0; i < count; i += apart) to[i] = table[from[i]];
}

static void look_up_bytes(const uint8_t *restrict from, size_t count, size_t apart, const int8_t *restrict table,
                          int8_t *restrict to) {
    for (size_t i = 0; i < count; i += apart) to[i] = table[from[i]];
}

static void gather(fj_network *network, const fj_batches *of, int64_t batch) {
    size_t bytes = image_bytes(network), channels = (size_t)network->model.c, place = 0;
    for (int32_t i = of->bounds[batch]; i < of->bounds[batch + 1]; i++, place++) {
        const uint8_t *from = of->pixels + (size_t)of->order[i] * bytes;
        labels_room(network)[place] = of->labels[of->order[i]];
        for (size_t c = 0; c < channels; c++) {
            size_t to = place * bytes + c, row = 256 * c;
            if (network->precision == FJ_FP32)
                look_up_floats(from + c, bytes - c, channels, (const float *)of->table + row,
                               (float *)network->input + to);
            else
                look_up_bytes(from + c, bytes - c, channels, (const int8_t *)of->table + row,
                              (int8_t *)network->input + to);
        }
    }
}

/* The images of the next batch lie anywhere: they come while this one is trained. */
static void fetch(const fj_network *network, const fj_batches *of, int64_t batch) {
    if (batch >= of->batches) return;
    size_t bytes = image_bytes(network);
    for (int32_t i = of->bounds[batch]; i < of->bounds[batch + 1]; i++)
        for (size_t byte = 0; byte < bytes; byte += LINE)
            __builtin_prefetch(of->pixels + (size_t)of->order[i] * bytes + byte);
}

static int step_of(fj_network *network, int exponent, int images, const fj_step *step, int trains, float *loss) {
    const int32_t *labels = labels_room(network);
    if (network->precision == FJ_INT8)
        return (trains ? fj_int8_train : fj_int8_judge)(
            network->in_int8, network->input, exponent, labels, images, step, loss);
    if (!trains) return fj_float_judge(network->in_float, network->input, labels, images, loss);
    return fj_float_train(network->in_float, network->input, labels, images, step->learning_rate, loss);
}

static fj_end run(fj_network *network, const fj_batches *of, const fj_step *step, int trains, fj_outcome *outcome) {
    fj_step now = *step;
    *outcome = (fj_outcome){0};
    fj_end wrong = check(network, of, &outcome->at);
    if (wrong) return wrong;
    if (!has_room(network)) return FJ_NO_MEMORY;
    for (int64_t batch = 0; batch < of->batches; batch++, now.step++) {
        int images = of->bounds[batch + 1] - of->bounds[batch];
        float loss = 0.0f;
        if (of->stop && __atomic_load_n(of->stop, __ATOMIC_RELAXED)) return FJ_STOPPED;
        gather(network, of, batch);
        fetch(network, of, batch + 1);
        int right = step_of(network, of->exponent, images, &now, trains, &loss);
        if (trains && !isfinite(loss)) return FJ_NOT_FINITE;
        outcome->right += right, outcome->batches++;
        outcome->loss += rint((double)loss * images * LOSS_UNITS) / LOSS_UNITS;
    }
    return isfinite(outcome->loss) ? FJ_DONE : FJ_NOT_FINITE;
}

fj_end fj_train_batches(fj_network *network, const fj_batches *batches, const fj_step *step, fj_outcome *outcome) {
    fj_end end = run(network, batches, step, 1, outcome);
    if (end != FJ_DONE) return end;
    /* ReLU hides what is no number: a loss alone does not tell. */
    if (network->precision == FJ_FP32) return fj_float_finite(network->in_float) ? FJ_DONE : FJ_NOT_FINITE;
    outcome->saturated = fj_int8_saturated(network->in_int8);
    return FJ_DONE;
}

fj_end fj_train_clients(fj_network *network, const fj_batches *clients, const fj_step *steps, int64_t count,
                        fj_outcome *outcomes, void *values, int32_t *exponents) {
    size_t numbers = fj_value_count(network), layers = (size_t)network->model.layers;
    for (int64_t i = 0; i < count; i++) {
        fj_recall_weights(network);
        fj_end end = fj_train_batches(network, clients + i, steps + i, outcomes + i);
        if (end != FJ_DONE) return end;
        if (network->precision == FJ_FP32) fj_get_all_fp32(network, (float *)values + (size_t)i * numbers);
        else fj_get_all_int8(network, (int8_t *)values + (size_t)i * numbers, exponents + (size_t)i * layers);
        outcomes[i].is_read = 1;
    }
    return FJ_DONE;
}

fj_end fj_judge_batches(fj_network *network, const fj_batches *batches, const fj_step *step, fj_outcome *outcome) {
    return run(network, batches, step, 0, outcome);
}
