/* The weights of a network: set, read, drawn, kept and summed up, a layer at a time or all in one vector. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "rounding.h"

void fj_set_weights_fp32(fj_network *network, int layer, const float *weights) {
    fj_float_set(network->in_float, layer, weights);
}

void fj_get_weights_fp32(const fj_network *network, int layer, float *weights) {
    fj_float_get(network->in_float, layer, weights);
}

void fj_set_weights_int8(fj_network *network, int layer, const int8_t *mantissas, int exponent) {
    fj_int8_set(network->in_int8, layer, mantissas, exponent);
}

int fj_get_weights_int8(const fj_network *network, int layer, int8_t *mantissas) {
    return fj_int8_get(network->in_int8, layer, mantissas);
}

/* Uniform in +-limit, by the weight's place. */
static float xavier(uint32_t key, double limit, size_t place) {
    double unit = ((double)fj_random(key, (uint32_t)place) + 0.5) / 4294967296.0;
    return (float)((2.0 * unit - 1.0) * limit);
}

/* The exponent is ceil(log2(max|w| / 127)), so that no mantissa is above 127. */
static int to_mantissas(uint32_t key, double limit, size_t count, int8_t *mantissas) {
    float largest = 0.0f;
    for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(xavier(key, limit, i)));
    int exponent = largest > 0.0f ? (int)ceil(log2((double)largest / 127.0)) : 0;
    for (size_t i = 0; i < count; i++)
        mantissas[i] = (int8_t)fj_clip127((int32_t)round(ldexp((double)xavier(key, limit, i), -exponent)));
    return exponent;
}

/* The limit is sqrt(6 / (inputs + outputs)), where a convolution counts its places in the kernel. */
void fj_init_weights(fj_network *network, uint64_t seed) {
    for (int layer = 0; layer < network->model.layers; layer++) {
        const fj_layer *of = &network->model.layer[layer];
        double area = (double)of->kernel * of->kernel;
        double limit = sqrt(6.0 / ((double)fj_fan_in(of) + area * of->out_c));
        uint32_t key = fj_random_key(seed, 0, layer, FJ_OF_ACTIVATION);
        if (network->precision == FJ_INT8) {
            fj_int8_set(network->in_int8, layer, network->weights,
                        to_mantissas(key, limit, of->weights, network->weights));
            continue;
        }
        float *weights = network->weights;
        for (size_t i = 0; i < fj_values_of(network, layer); i++)
            weights[i] = i < of->weights ? xavier(key, limit, i) : 0.0f;
        fj_float_set(network->in_float, layer, weights);
    }
}

/* Copies all weights to the network's copy or back; without a copy it only counts their bytes. */
static size_t exchange(fj_network *network, int back) {
    size_t done = 0;
    for (int layer = 0; layer < network->model.layers; layer++) {
        fj_region regions[FJ_MOST_REGIONS];
        int count = network->precision == FJ_FP32 ? fj_float_regions(network->in_float, layer, regions)
                                                  : fj_int8_regions(network->in_int8, layer, regions);
        for (int i = 0; i < count; i++) {
            if (network->kept && back) memcpy(regions[i].at, network->kept + done, regions[i].bytes);
            else if (network->kept) memcpy(network->kept + done, regions[i].at, regions[i].bytes);
            done += regions[i].bytes;
        }
    }
    return done;
}

int fj_keep_weights(fj_network *network) {
    if (!network->kept && !(network->kept = malloc(exchange(network, 0)))) return -1;
    exchange(network, 0);
    return 0;
}

void fj_recall_weights(fj_network *network) {
    if (network->kept) exchange(network, 1);
}

static uint64_t fnv(uint64_t sum, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) sum = (sum ^ at[i]) * 0x100000001b3ull;
    return sum;
}

uint64_t fj_checksum(const fj_network *network) {
    uint64_t sum = 0xcbf29ce484222325ull;
    for (int layer = 0; layer < network->model.layers; layer++) {
        size_t width = network->precision == FJ_FP32 ? sizeof(float) : 1;
        if (network->precision == FJ_FP32) {
            fj_float_get(network->in_float, layer, network->weights);
        } else {
            int8_t exponent = (int8_t)fj_int8_get(network->in_int8, layer, network->weights);
            sum = fnv(sum, &exponent, 1);
        }
        sum = fnv(sum, network->weights, fj_values_of(network, layer) * width);
    }
    return sum;
}

size_t fj_value_count(const fj_network *network) {
    size_t count = 0;
    for (int layer = 0; layer < network->model.layers; layer++) count += fj_values_of(network, layer);
    return count;
}

void fj_set_all_fp32(fj_network *network, const float *values) {
    for (int layer = 0; layer < network->model.layers; values += fj_values_of(network, layer++))
        fj_float_set(network->in_float, layer, values);
}

void fj_get_all_fp32(const fj_network *network, float *values) {
    for (int layer = 0; layer < network->model.layers; values += fj_values_of(network, layer++))
        fj_float_get(network->in_float, layer, values);
}

void fj_set_all_int8(fj_network *network, const int8_t *mantissas, const int32_t *exponents) {
    for (int layer = 0; layer < network->model.layers; mantissas += fj_values_of(network, layer++))
        fj_int8_set(network->in_int8, layer, mantissas, exponents[layer]);
}

void fj_get_all_int8(const fj_network *network, int8_t *mantissas, int32_t *exponents) {
    for (int layer = 0; layer < network->model.layers; mantissas += fj_values_of(network, layer++))
        exponents[layer] = fj_int8_get(network->in_int8, layer, mantissas);
}
