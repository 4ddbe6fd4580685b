/* Runs the kernels on processors where Python does not run: reads cases from stdin, prints what every path makes of them.
 *
 *   round KEY S X PLACE                      -> bit width, shift, and X / 2^S rounded in the three ways
 *   quantize COUNT SEED                      -> for each path: exponent and a sum over the mantissas
 *   int8 MODEL BATCH_SIZE BATCH STEPS MU ROUNDING INPUTS
 *   fp32 MODEL BATCH_SIZE BATCH STEPS BIAS   -> for each path and number of threads: see below
 *   pool THREADS JOBS                        -> how many tasks of these jobs were not done exactly once
 *
 * An INT8 line has a sum over all logits, gradients, shifts, and the weights at the end. An FP32 line has how many of its
 * weights are farther from the scalar path's than rounding explains, and whether they equal those of one thread. */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedjoule.h"
#include "rounding.h"
#include "threads.h"

static const int threads_tried[] = {1, 3};

static void *need(size_t count, size_t width) {
    void *found = calloc(count ? count : 1, width);
    if (!found) exit(4);
    return found;
}

static uint64_t fold(uint64_t sum, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) sum = (sum ^ at[i]) * 0x100000001b3ull;
    return sum;
}

static size_t inputs_of(const fj_network *network, int batch) {
    fj_layer first = fj_layer_at(network, 0);
    return (size_t)batch * (size_t)first.in_h * (size_t)first.in_w * (size_t)first.in_c;
}

/* kind 0: any mantissas, 1: the largest of either sign, 2: zeros, 3: the largest. */
static int8_t mantissa(uint32_t key, size_t place, int kind) {
    uint32_t bits = fj_random(key, (uint32_t)place);
    if (kind == 1) return bits & 1 ? 127 : -127;
    if (kind == 2) return 0;
    if (kind == 3) return 127;
    return (int8_t)((int)(bits % 255) - 127);
}

static fj_network *opened(const char *model, fj_precision precision, int batch_size, int path, int threads, int bias) {
    char error[256];
    fj_network *network;
    fj_options options = {.model = model, .precision = precision, .batch_size = batch_size,
                          .path = (fj_path)path, .threads = threads, .bias = bias};
    if (fj_network_new(&network, &options, error, sizeof error)) {
        printf("refused %s\n", error);
        return NULL;
    }
    return network;
}

static uint64_t int8_run(fj_network *network, int batch, int steps, int mu, int rounding, int kind) {
    int last = fj_layer_count(network) - 1, classes = fj_layer_at(network, last).out_c;
    size_t count = inputs_of(network, batch), of_logits = (size_t)batch * (size_t)classes;
    int8_t *x = need(count, 1), *logits = need(of_logits, 1);
    int32_t *labels = need((size_t)batch, sizeof *labels);
    uint64_t sum = 0xcbf29ce484222325ull;
    for (int layer = 0; kind && layer <= last; layer++) {
        size_t weights = fj_layer_at(network, layer).weights;
        int8_t *w = need(weights, 1);
        for (size_t i = 0; i < weights; i++) w[i] = mantissa(99u + (uint32_t)layer, i, kind);
        fj_set_weights_int8(network, layer, w, -7);
        free(w);
    }
    for (int step = 0; step < steps; step++) {
        fj_step how = {.mu_conv = mu, .mu_fc = mu, .activation = (fj_rounding)rounding, .error = (fj_rounding)rounding,
                       .update = (fj_rounding)(rounding ? rounding : FJ_PSEUDO_STOCHASTIC),
                       .loss = (fj_rounding)(rounding ? rounding : FJ_PSEUDO_STOCHASTIC), .seed = 5, .step = (uint64_t)step};
        float loss;
        for (size_t i = 0; i < count; i++) x[i] = mantissa(1000u + (uint32_t)step, i, kind);
        for (int i = 0; i < batch; i++) labels[i] = (int32_t)(fj_random(7u + (uint32_t)step, (uint32_t)i) % (uint32_t)classes);
        int exponent = fj_forward_int8(network, x, -6, batch, &how, logits);
        sum = fold(fold(sum, &exponent, sizeof exponent), logits, of_logits);
        int right = fj_train_int8(network, x, -6, labels, batch, &how, &loss);
        sum = fold(sum, &right, sizeof right);
        fj_get_loss_gradient_int8(network, batch, logits);
        sum = fold(sum, logits, of_logits);
        for (int layer = 0; layer <= last; layer++) {
            size_t weights = fj_layer_at(network, layer).weights;
            int32_t *gradient = need(weights, sizeof *gradient);
            fj_shifts shifts = fj_get_shifts_int8(network, layer);
            fj_get_gradient_int8(network, layer, gradient);
            sum = fold(fold(sum, gradient, weights * sizeof *gradient), &shifts, sizeof shifts);
            free(gradient);
        }
    }
    free(x), free(logits), free(labels);
    uint64_t weights = fj_checksum(network);
    return fold(sum, &weights, sizeof weights);
}

static void fp32_run(fj_network *network, int batch, int steps) {
    int classes = fj_layer_at(network, fj_layer_count(network) - 1).out_c;
    size_t count = inputs_of(network, batch);
    float *x = need(count, sizeof *x), loss;
    int32_t *labels = need((size_t)batch, sizeof *labels);
    fj_step how = {.learning_rate = 0.05f};
    for (int step = 0; step < steps; step++) {
        for (size_t i = 0; i < count; i++) x[i] = (float)mantissa(1000u + (uint32_t)step, i, 0) / 64.0f;
        for (int i = 0; i < batch; i++) labels[i] = (int32_t)(fj_random(7u + (uint32_t)step, (uint32_t)i) % (uint32_t)classes);
        fj_train_fp32(network, x, labels, batch, &how, &loss);
    }
    free(x), free(labels);
}

/* How many weights differ by more than a few of their last bits allow after some steps; a NaN differs. */
static int far_apart(const fj_network *one, const fj_network *other, int bias) {
    int far = 0;
    for (int layer = 0; layer < fj_layer_count(one); layer++) {
        fj_layer of = fj_layer_at(one, layer);
        size_t count = of.weights + (bias ? (size_t)of.out_c : 0);
        float *a = need(count, sizeof *a), *b = need(count, sizeof *b), largest = 0.0f;
        fj_get_weights_fp32(one, layer, a);
        fj_get_weights_fp32(other, layer, b);
        for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(a[i]));
        for (size_t i = 0; i < count; i++) far += !(fabsf(a[i] - b[i]) <= 1e-4f * largest);
        free(a), free(b);
    }
    return far;
}

static void int8_case(const char *model, int batch_size, int batch, int steps, int mu, int rounding, int kind) {
    for (int path = 0; path < FJ_PATHS; path++) {
        for (size_t i = 0; fj_path_works((fj_path)path) && i < sizeof threads_tried / sizeof *threads_tried; i++) {
            fj_network *network = opened(model, FJ_INT8, batch_size, path, threads_tried[i], 0);
            if (!network) return;
            fj_init_weights(network, 3);
            printf("%s %d %016" PRIx64 "\n", fj_path_name((fj_path)path), threads_tried[i],
                   int8_run(network, batch, steps, mu, rounding, kind));
            fj_network_free(network);
        }
    }
}

static void fp32_case(const char *model, int batch_size, int batch, int steps, int bias) {
    fj_network *scalar = opened(model, FJ_FP32, batch_size, FJ_SCALAR, 1, bias);
    if (!scalar) return;
    fj_init_weights(scalar, 3);
    fp32_run(scalar, batch, steps);
    for (int path = 0; path < FJ_PATHS; path++) {
        uint64_t alone = 0;
        for (size_t i = 0; fj_path_works((fj_path)path) && i < sizeof threads_tried / sizeof *threads_tried; i++) {
            fj_network *network = opened(model, FJ_FP32, batch_size, path, threads_tried[i], bias);
            if (!network) exit(4);
            fj_init_weights(network, 3);
            fp32_run(network, batch, steps);
            uint64_t sum = fj_checksum(network);
            if (i == 0) alone = sum;
            printf("%s %d far %d %s\n", fj_path_name((fj_path)path), threads_tried[i],
                   far_apart(scalar, network, bias), sum == alone ? "same" : "differs");
            fj_network_free(network);
        }
    }
    fj_network_free(scalar);
}

static void quantize_case(size_t count, uint32_t seed) {
    float *x = need(count, sizeof *x);
    int8_t *mantissas = need(count, 1);
    for (size_t i = 0; i < count; i++) {
        int32_t whole = (int32_t)fj_random(seed, (uint32_t)i);
        x[i] = ldexpf((float)whole, (int)(seed % 40u) - 60);
    }
    for (int path = 0; path < FJ_PATHS; path++) {
        if (!fj_path_works((fj_path)path)) continue;
        int exponent = fj_quantize(x, count, mantissas, (fj_path)path);
        printf("%s %d %016" PRIx64 "\n", fj_path_name((fj_path)path), exponent, fold(0, mantissas, count));
    }
    free(x), free(mantissas);
}

static void round_case(uint32_t key, int s, int32_t x, uint32_t place) {
    uint32_t a = fj_magnitude(x);
    printf("%d %d %d %d %d\n", fj_bit_width(a), fj_requant_shift(a), fj_round_nearest(x, s), fj_round_pseudo(x, s),
           fj_round_stochastic(x, s, key, place));
}

static void do_once(void *context, int task, int thread) {
    atomic_fetch_add((atomic_int *)context + task, 1);
    (void)thread;
}

/* A job of few tasks before one of many: who comes late for the first finds more tasks than it had. */
static void pool_case(int threads, int jobs) {
    enum { FEW = 2, MANY = 8 };
    static atomic_int done[2][MANY];
    fj_pool *pool = fj_pool_new(threads, NULL, 0);
    int wrong = 0;
    if (!pool) exit(4);
    for (int job = 0; job < jobs; job++) {
        int tasks = job % 2 ? MANY : FEW;
        for (int i = 0; i < MANY; i++) atomic_store(&done[job % 2][i], 0);
        fj_pool_run(pool, do_once, done[job % 2], tasks);
        for (int i = 0; i < MANY; i++) wrong += atomic_load(&done[job % 2][i]) != (i < tasks);
    }
    fj_pool_free(pool);
    printf("%d\n", wrong);
}

int main(void) {
    char line[1024], model[512];
    while (fgets(line, sizeof line, stdin)) {
        int a, b, c, d, e, f;
        unsigned key, place;
        if (sscanf(line, "round %u %d %d %u", &key, &a, &b, &place) == 4) {
            round_case(key, a, b, place);
        } else if (sscanf(line, "quantize %d %u", &a, &key) == 2) {
            quantize_case((size_t)a, key);
        } else if (sscanf(line, "int8 %511s %d %d %d %d %d %d", model, &a, &b, &c, &d, &e, &f) == 7) {
            int8_case(model, a, b, c, d, e, f);
        } else if (sscanf(line, "fp32 %511s %d %d %d %d", model, &a, &b, &c, &d) == 5) {
            fp32_case(model, a, b, c, d);
        } else if (sscanf(line, "pool %d %d", &a, &b) == 2) {
            pool_case(a, b);
        } else {
            fprintf(stderr, "a case that is none: %s", line);
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}
