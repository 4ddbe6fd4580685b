#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "network.h"

#ifndef FJ_BUILD_ID
#define FJ_BUILD_ID "unknown"
#endif

/* Sums of int32 hold this many products of mantissas: 127 * 127 * 133144 < 2^31. */
#define MOST_PRODUCTS 133144
#define MOST_BATCH 65536
#define MOST_THREADS 1024

static int refuse(char *error, size_t error_bytes, const char *what, int64_t got, const char *rule) {
    snprintf(error, error_bytes, "%s: %s (got %" PRId64 ")", what, rule, got);
    return -1;
}

/* Every sum of an INT8 step must fit int32: forward over the inputs of an output, backward over outputs and places. */
static int check_sums(const fj_model *model, int batch, char *error, size_t error_bytes) {
    for (int i = 0; i < model->layers; i++) {
        const fj_layer *layer = &model->layer[i];
        int64_t places = (int64_t)batch * fj_conv_h(layer) * fj_conv_w(layer);
        int64_t back = (int64_t)layer->out_c * layer->kernel * layer->kernel;
        int64_t longest = (int64_t)fj_fan_in(layer) > back ? (int64_t)fj_fan_in(layer) : back;
        if (longest > MOST_PRODUCTS) return refuse(error, error_bytes, "model", longest, "int8 sums at most 133144 products");
        if (places > MOST_PRODUCTS)
            return refuse(error, error_bytes, "batch_size", batch, "too large: int8 sums at most 133144 places of a layer");
    }
    return 0;
}

/* Bytes of `batch` images with a border, their channels in whole vectors of the longest kind. */
static uint64_t bytes_of(int batch, int h, int w, int border, int channels) {
    uint64_t vectors = ((uint64_t)channels + 31) / 32 * 32;
    return (uint64_t)batch * (uint64_t)(h + 2 * border) * (uint64_t)(w + 2 * border) * vectors * sizeof(float);
}

/* No tensor may be larger than a quarter of what a size_t counts: on 32 bits its bytes would start from 0 again. */
static int check_sizes(const fj_model *model, int batch, char *error, size_t error_bytes) {
    for (int i = 0; i < model->layers; i++) {
        const fj_layer *layer = &model->layer[i];
        int is_fc = layer->kind == FJ_FC, wide = layer->kernel - 1;
        uint64_t in = is_fc ? (uint64_t)batch * fj_fan_in(layer) * sizeof(float)
                            : bytes_of(batch, layer->in_h, layer->in_w, layer->pad, layer->in_c);
        uint64_t out = bytes_of(batch, fj_conv_h(layer), fj_conv_w(layer), wide, layer->out_c);
        if (in > SIZE_MAX / 4 || out > SIZE_MAX / 4)
            return refuse(error, error_bytes, "memory", batch, "a layer is too large for a batch_size as this");
    }
    return 0;
}

static int check(const fj_options *options, fj_model *model, char *error, size_t error_bytes) {
    if (!options->model) return refuse(error, error_bytes, "model", 0, "must be given");
    if (fj_model_read(model, options->model, options->classes, error, error_bytes)) return -1;
    if (options->precision != FJ_FP32 && options->precision != FJ_INT8)
        return refuse(error, error_bytes, "precision", options->precision, "must be 0 (fp32) or 1 (int8)");
    if (options->batch_size < 1 || options->batch_size > MOST_BATCH)
        return refuse(error, error_bytes, "batch_size", options->batch_size, "must be from 1 to 65536");
    if (options->threads < 1 || options->threads > MOST_THREADS)
        return refuse(error, error_bytes, "threads", options->threads, "must be from 1 to 1024");
    if (options->bias && options->precision == FJ_INT8)
        return refuse(error, error_bytes, "bias", options->bias, "int8 networks have none; use 0");
    if (options->path != FJ_BEST && !fj_path_works(options->path))
        return refuse(error, error_bytes, "path", options->path, "this core cannot run it; use -1 for the best");
    if (check_sizes(model, options->batch_size, error, error_bytes)) return -1;
    return options->precision == FJ_INT8 ? check_sums(model, options->batch_size, error, error_bytes) : 0;
}

/* The path whose instructions run: what VNNI, dotprod and i8mm add is of integers. */
static fj_path path_of(const fj_options *options) {
    fj_path path = options->path == FJ_BEST ? fj_path_best(options->precision) : options->path;
    if (options->precision == FJ_INT8) return path;
    return path == FJ_VNNI ? FJ_AVX512 : path == FJ_DOTPROD || path == FJ_I8MM ? FJ_NEON : path;
}

static size_t largest_layer(const fj_network *network) {
    size_t largest = 0;
    for (int layer = 0; layer < network->model.layers; layer++) {
        size_t count = fj_values_of(network, layer);
        if (count > largest) largest = count;
    }
    return largest;
}

int fj_network_new(fj_network **network, const fj_options *options, char *error, size_t error_bytes) {
    fj_model model;
    *network = NULL;
    if (check(options, &model, error, error_bytes)) return -1;
    fj_network *made = calloc(1, sizeof *made);
    if (!made) return refuse(error, error_bytes, "memory", (int64_t)sizeof *made, "bytes could not be had");
    made->model = model, made->precision = options->precision;
    made->bias = options->bias, made->batch_size = options->batch_size;
    made->path = path_of(options);
    made->pool = fj_pool_new(options->threads, options->cpus, options->cpus ? options->cpu_count : 0);
    if (made->pool && options->precision == FJ_FP32)
        made->in_float = fj_float_new(&made->model, options->batch_size, made->path, made->pool, options->bias);
    if (made->pool && options->precision == FJ_INT8)
        made->in_int8 = fj_int8_new(&made->model, options->batch_size, made->path, made->pool);
    made->weights = malloc(largest_layer(made) * (made->precision == FJ_FP32 ? sizeof(float) : 1));
    if (!made->weights || (!made->in_float && !made->in_int8)) {
        fj_network_free(made);
        return refuse(error, error_bytes, "memory", options->batch_size, "not enough for this batch_size and model");
    }
    *network = made;
    return 0;
}

void fj_network_free(fj_network *network) {
    if (!network) return;
    fj_float_free(network->in_float);
    fj_int8_free(network->in_int8);
    fj_pool_free(network->pool);
    free(network->weights);
    free(network->kept);
    free(network->input);
    free(network);
}

int fj_layer_count(const fj_network *network) {
    return network->model.layers;
}

fj_layer fj_layer_at(const fj_network *network, int layer) {
    return network->model.layer[layer];
}

void fj_forward_fp32(fj_network *network, const float *input, int batch, float *logits) {
    const float *found = fj_float_forward(network->in_float, input, batch);
    for (size_t i = 0; i < (size_t)batch * (size_t)network->model.classes; i++) logits[i] = found[i];
}

int fj_forward_int8(
    fj_network *network, const int8_t *input, int exponent, int batch, const fj_step *step, int8_t *logits) {
    int of_logits;
    const int8_t *found = fj_int8_forward(network->in_int8, input, exponent, batch, step, &of_logits);
    for (size_t i = 0; i < (size_t)batch * (size_t)network->model.classes; i++) logits[i] = found[i];
    return of_logits;
}

int fj_train_fp32(
    fj_network *network, const float *input, const int32_t *labels, int batch, const fj_step *step, float *loss) {
    return fj_float_train(network->in_float, input, labels, batch, step->learning_rate, loss);
}

int fj_train_int8(fj_network *network, const int8_t *input, int exponent, const int32_t *labels, int batch,
                  const fj_step *step, float *loss) {
    return fj_int8_train(network->in_int8, input, exponent, labels, batch, step, loss);
}

void fj_get_gradient_int8(const fj_network *network, int layer, int32_t *gradient) {
    fj_int8_gradient(network->in_int8, layer, gradient);
}

fj_shifts fj_get_shifts_int8(const fj_network *network, int layer) {
    return fj_int8_shifts(network->in_int8, layer);
}

void fj_get_loss_gradient_int8(const fj_network *network, int batch, int8_t *gradient) {
    fj_int8_loss_gradient(network->in_int8, batch, gradient);
}

int fj_quantize(const float *x, size_t count, int8_t *mantissas, fj_path path) {
    return fj_int8_quantize(x, count, mantissas, path == FJ_BEST ? fj_path_best(FJ_INT8) : path);
}

fj_path fj_network_path(const fj_network *network) {
    return network->path;
}

const char *fj_build_id(void) {
    return FJ_BUILD_ID;
}

int fj_api_version(void) {
    return FJ_API_VERSION;
}
