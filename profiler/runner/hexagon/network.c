#include "network.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    fj_dsp_shape shape;
    int relu, pool, mu_of_fc, exponent; /* of the weights */
    int8_t *image;                      /* the input with its padding; without padding the layer before owns it */
    int8_t *weights, *out, *pooled, *where;
    int32_t *gradient;
    fj_dsp_report report;
} Layer;

struct fj_dsp_network {
    const fj_model *model;
    const fj_dsp_kernels *kernels;
    int batch, short_of_memory;
    Layer layer[FJ_MOST_LAYERS];
    int8_t *input, *loss, *errors, *below, *padded;
    int32_t *sums;
    void *scratch;
};

fj_dsp_shape fj_dsp_shape_of(const fj_layer *layer, int batch) {
    if (layer->kind == FJ_CONV)
        return (fj_dsp_shape){batch, layer->in_h, layer->in_w, layer->in_c, layer->out_c, layer->kernel, layer->pad};
    /* The flattened input has its channels as they are stored, padded. */
    return (fj_dsp_shape){batch, 1, 1, layer->in_h * layer->in_w * fj_dsp_up(layer->in_c, 4), layer->out_c, 1, 0};
}

static void *room(fj_dsp_network *network, size_t bytes) {
    const size_t whole = (bytes + FJ_DSP_SLACK + 127) / 128 * 128;
    void *made = aligned_alloc(128, whole);
    if (made)
        memset(made, 0, whole);
    else
        network->short_of_memory = 1;
    return made;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

fj_dsp_network *fj_dsp_network_new(const fj_model *model, int batch, const fj_dsp_kernels *kernels) {
    fj_dsp_network *made = calloc(1, sizeof *made);
    size_t errors = 0, padded = 0, sums = 0, scratch = 0;
    if (!made) return NULL;
    made->model = model, made->kernels = kernels, made->batch = batch;
    made->input = room(made, (size_t)(batch * model->h * model->w) * (size_t)fj_dsp_up(model->c, 4));
    made->loss = room(made, (size_t)(batch * fj_dsp_up(model->classes, 4)));
    for (int i = 0; i < model->layers; i++) {
        const fj_layer *of = &model->layer[i];
        Layer *layer = &made->layer[i];
        const fj_dsp_shape s = layer->shape = fj_dsp_shape_of(of, batch), back = fj_dsp_mirrored(&s);
        const size_t rows = (size_t)fj_dsp_positions(&s), o = (size_t)fj_dsp_up(s.o, 4), pixels = (size_t)(s.h * s.w);
        const size_t in = (size_t)batch * (size_t)((s.h + 2 * s.pad) * (s.w + 2 * s.pad)) * (size_t)fj_dsp_up(s.c, 4);
        layer->relu = of->relu, layer->pool = of->pool, layer->mu_of_fc = of->kind == FJ_FC;
        if (s.pad) layer->image = room(made, in);
        layer->weights = room(made, (size_t)(s.o * s.kernel * fj_dsp_row(&s)));
        layer->gradient = room(made, 4 * (size_t)(s.o * s.kernel) * (size_t)fj_dsp_up(fj_dsp_row(&s), 32));
        layer->out = room(made, rows * o);
        if (of->pool) {
            layer->pooled = room(made, (size_t)batch * (size_t)(of->out_h * of->out_w) * o);
            layer->where = room(made, (size_t)batch * (size_t)(of->out_h * of->out_w) * o);
        }
        errors = larger(errors, larger(rows * o, in));
        padded = larger(padded, (size_t)batch * (size_t)((back.h + 2 * back.pad) * (back.w + 2 * back.pad)) * o);
        sums = larger(sums, rows * (size_t)fj_dsp_up(s.o, 32));
        sums = larger(sums, (size_t)batch * pixels * (size_t)fj_dsp_up(s.c, 32));
        scratch = larger(scratch, fj_dsp_scratch(&s));
    }
    made->errors = room(made, errors), made->below = room(made, errors), made->padded = room(made, padded);
    made->sums = room(made, 4 * sums), made->scratch = room(made, scratch);
    if (!made->short_of_memory) return made;
    fj_dsp_network_free(made);
    return NULL;
}

void fj_dsp_network_free(fj_dsp_network *network) {
    if (!network) return;
    for (int i = 0; i < network->model->layers; i++) {
        Layer *layer = &network->layer[i];
        if (layer->shape.pad) free(layer->image);
        free(layer->weights), free(layer->gradient), free(layer->out), free(layer->pooled), free(layer->where);
    }
    free(network->input), free(network->loss), free(network->errors), free(network->below), free(network->padded);
    free(network->sums), free(network->scratch), free(network);
}

/* Rows of `channels` bytes to or from rows that are padded to a multiple of 4. */
static size_t channel_rows(const fj_dsp_network *network, int layer, int *channels) {
    const fj_layer *of = &network->model->layer[layer];
    *channels = of->in_c;
    return of->weights / (size_t)of->in_c;
}

static void spread(const int8_t *from, size_t rows, int channels, int8_t *to) {
    const int gap = fj_dsp_up(channels, 4) - channels;
    for (size_t r = 0; r < rows; r++, to += gap)
        for (int i = 0; i < channels; i++) *to++ = *from++;
}

static void gather(const int8_t *from, size_t rows, int channels, int8_t *to) {
    const int gap = fj_dsp_up(channels, 4) - channels;
    for (size_t r = 0; r < rows; r++, from += gap)
        for (int i = 0; i < channels; i++) *to++ = *from++;
}

void fj_dsp_set_weights(fj_dsp_network *network, int layer, const int8_t *weights, int exponent) {
    int channels;
    const size_t rows = channel_rows(network, layer, &channels);
    spread(weights, rows, channels, network->layer[layer].weights);
    network->layer[layer].exponent = exponent;
}

void fj_dsp_get_weights(const fj_dsp_network *network, int layer, int8_t *weights) {
    int channels;
    const size_t rows = channel_rows(network, layer, &channels);
    gather(network->layer[layer].weights, rows, channels, weights);
}

void fj_dsp_get_gradient(const fj_dsp_network *network, int layer, int32_t *gradient) {
    const Layer *at = &network->layer[layer];
    const int channels = network->model->layer[layer].in_c, row = fj_dsp_row(&at->shape), up = fj_dsp_up(channels, 4);
    const int32_t *from = at->gradient;
    for (int r = 0; r < at->shape.o * at->shape.kernel; r++, from += fj_dsp_up(row, 32))
        for (int i = 0; i < row; i += up, gradient += channels) memcpy(gradient, from + i, 4 * (size_t)channels);
}

void fj_dsp_get_logits(const fj_dsp_network *network, int8_t *logits) {
    gather(network->layer[network->model->layers - 1].out, (size_t)network->batch, network->model->classes, logits);
}

void fj_dsp_get_loss_gradient(const fj_dsp_network *network, int8_t *gradient) {
    gather(network->loss, (size_t)network->batch, network->model->classes, gradient);
}

fj_dsp_report fj_dsp_report_of(const fj_dsp_network *network, int layer) {
    return network->layer[layer].report;
}

#define COUNTED(layer, operation, what)                                   \
    do {                                                                  \
        const fj_reading begin = fj_read_counters();                      \
        what;                                                             \
        fj_count_since(begin, &(layer)->report.counts[operation]);        \
    } while (0)

/* Sums of [rows][up32(channels)] to bytes; returns the shift. */
static int requantize(fj_dsp_network *network, Layer *layer, int rows, int channels, int8_t *out) {
    int shift;
    COUNTED(layer, FJ_REQUANTIZE, {
        const size_t count = (size_t)rows * (size_t)fj_dsp_up(channels, 32);
        shift = fj_requant_shift(network->kernels->largest(network->sums, count));
        network->kernels->requantize(network->sums, rows, channels, shift, out);
    });
    return shift;
}

/* Returns the layer's output, for the next one. */
static const int8_t *forward(fj_dsp_network *network, Layer *layer, const int8_t *input, int exponent) {
    const fj_dsp_kernels *k = network->kernels;
    const fj_dsp_shape *s = &layer->shape;
    const int rows = fj_dsp_positions(s);
    if (s->pad)
        COUNTED(layer, FJ_MOVE, k->pad(input, s->batch, s->h, s->w, s->c, s->pad, layer->image));
    else
        layer->image = (int8_t *)input;
    COUNTED(layer, FJ_FORWARD, k->forward(s, layer->image, layer->weights, network->sums, network->scratch));
    layer->report.activation = requantize(network, layer, rows, s->o, layer->out);
    layer->report.exponent = exponent + layer->exponent + layer->report.activation;
    if (layer->relu) COUNTED(layer, FJ_MOVE, k->relu(layer->out, (size_t)rows * (size_t)fj_dsp_up(s->o, 4)));
    if (!layer->pool) return layer->out;
    COUNTED(layer, FJ_MOVE, k->pool(layer->out, s->batch, fj_dsp_out_h(s), fj_dsp_out_w(s), s->o, layer->pooled,
                                    layer->where));
    return layer->pooled;
}

/* From the errors of the layer's output in network->errors to those of its input, and the gradient; then the update. */
static void backward(fj_dsp_network *network, Layer *layer, int first, int mu) {
    const fj_dsp_kernels *k = network->kernels;
    const fj_dsp_shape *s = &layer->shape;
    const int h = fj_dsp_out_h(s), w = fj_dsp_out_w(s), row = fj_dsp_row(s), around = s->kernel - 1 - s->pad;
    const int8_t *errors = network->errors;
    if (layer->pool) {
        COUNTED(layer, FJ_MOVE, k->unpool(errors, layer->pooled, layer->where, s->batch, h, w, s->o, network->below));
        network->errors = network->below, network->below = (int8_t *)errors, errors = network->errors;
    } else if (layer->relu)
        COUNTED(layer, FJ_MOVE, k->mask(network->errors, layer->out,
                                        (size_t)fj_dsp_positions(s) * (size_t)fj_dsp_up(s->o, 4)));
    COUNTED(layer, FJ_GRADIENT, k->gradient(s, layer->image, errors, layer->gradient, network->scratch));
    layer->report.error = -1;
    if (!first) {
        if (around) COUNTED(layer, FJ_MOVE, k->pad(errors, s->batch, h, w, s->o, around, network->padded));
        COUNTED(layer, FJ_ERROR, k->error(s, around ? network->padded : errors, layer->weights, network->sums,
                                          network->scratch));
        layer->report.error = requantize(network, layer, s->batch * s->h * s->w, s->c, network->below);
        int8_t *free_now = network->errors;
        network->errors = network->below, network->below = free_now;
    }
    COUNTED(layer, FJ_UPDATE, {
        const int rows = s->o * s->kernel;
        const uint32_t largest = k->largest(layer->gradient, (size_t)rows * (size_t)fj_dsp_up(row, 32));
        layer->report.update = fj_dsp_update_shift(largest, mu);
        k->update(layer->gradient, rows, row, layer->report.update, layer->weights);
    });
}

void fj_dsp_train(
    fj_dsp_network *network, const int8_t *input, int exponent, const int32_t *labels, int mu_conv, int mu_fc) {
    const fj_model *model = network->model;
    const int last = model->layers - 1, stride = fj_dsp_up(model->classes, 4);
    for (int i = 0; i <= last; i++) memset(network->layer[i].report.counts, 0, sizeof network->layer[i].report.counts);
    COUNTED(&network->layer[0], FJ_MOVE,
            spread(input, (size_t)(network->batch * model->h * model->w), model->c, network->input));
    const int8_t *at = network->input;
    for (int i = 0; i <= last; i++) {
        at = forward(network, &network->layer[i], at, exponent);
        exponent = network->layer[i].report.exponent;
    }
    COUNTED(&network->layer[last], FJ_LOSS, {
        fj_dsp_loss(at, exponent, labels, network->batch, model->classes, stride, network->loss);
        memcpy(network->errors, network->loss, (size_t)(network->batch * stride));
    });
    for (int i = last; i >= 0; i--)
        backward(network, &network->layer[i], i == 0, network->layer[i].mu_of_fc ? mu_fc : mu_conv);
}
