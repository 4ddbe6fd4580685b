/* Training steps of small networks on a CPU: FP32, and INT8 with integer arithmetic only (NITI).
 *
 * The one public header of the library. Tensors are NHWC; weights are O, ky, kx, C (a fully connected layer: O, then the
 * flattened H, W, C of its input). Every function is safe to call from several threads on different networks. Nothing
 * here prints, and nothing but what the processor can do is kept outside a network.
 */
#ifndef FEDJOULE_H
#define FEDJOULE_H

#include <stddef.h>
#include <stdint.h>

#define FJ_API_VERSION 5

#if defined(__GNUC__)
#define FJ_PUBLIC __attribute__((visibility("default")))
#else
#define FJ_PUBLIC
#endif

typedef enum { FJ_FP32 = 0, FJ_INT8 = 1 } fj_precision;

/* Which instructions are used. Results of INT8 are the same bit for bit on all of them. */
typedef enum {
    FJ_SCALAR = 0,
    FJ_AVX2 = 1,
    FJ_AVX512 = 2,
    FJ_VNNI = 3, /* AVX-512 with VNNI */
    FJ_NEON = 4,
    FJ_DOTPROD = 5,
    FJ_I8MM = 6,
    FJ_PATHS = 7,
    FJ_BEST = -1
} fj_path;

/* How x / 2^s is rounded: the three functions of rounding.h. */
typedef enum { FJ_NEAREST = 0, FJ_PSEUDO_STOCHASTIC = 1, FJ_STOCHASTIC = 2 } fj_rounding;

typedef struct fj_network fj_network;

typedef struct {
    const char *model; /* "lenet5", "vgg16", "vgg11" or as "28x28x1:conv20k5,pool,conv50k5,pool,fc500,fc62" */
    int classes;       /* outputs of a named model; 0: as the name has it */
    fj_precision precision;
    int batch_size; /* the largest batch that will come */
    fj_path path;
    int threads;
    const int *cpus; /* cores for the threads in turn, or NULL */
    int cpu_count;
    int bias; /* FP32 only: 1 for biases */
} fj_options;

typedef struct {
    float learning_rate; /* FP32: plain SGD on the mean of the batch's cross-entropies */
    int mu_conv;         /* INT8: bits of a layer's largest update, Eq. 2 of the paper */
    int mu_fc;
    fj_rounding activation;
    fj_rounding error;
    fj_rounding update;
    fj_rounding loss;
    uint64_t seed; /* of stochastic rounding, with the step's number */
    uint64_t step;
} fj_step;

typedef struct {
    int kind; /* 0 convolution, 1 fully connected */
    int in_h, in_w, in_c;
    int out_h, out_w, out_c; /* after the pool, if there is one */
    int kernel, pad;
    int relu, pool; /* 1 if it has one */
    size_t weights; /* without biases */
} fj_layer;

/* Makes a network with weights of zero. Returns 0, or -1 with the reason in `error`. */
FJ_PUBLIC int fj_network_new(fj_network **network, const fj_options *options, char *error, size_t error_bytes);
FJ_PUBLIC void fj_network_free(fj_network *network);

FJ_PUBLIC int fj_layer_count(const fj_network *network);
FJ_PUBLIC fj_layer fj_layer_at(const fj_network *network, int layer);

/* Weights of a layer in O, ky, kx, C order; FP32 with biases: the O biases follow. Both copy. */
FJ_PUBLIC void fj_set_weights_fp32(fj_network *network, int layer, const float *weights);
FJ_PUBLIC void fj_get_weights_fp32(const fj_network *network, int layer, float *weights);
/* Mantissas from -127 to 127, and the exponent of the layer: value = mantissa * 2^exponent. */
FJ_PUBLIC void fj_set_weights_int8(fj_network *network, int layer, const int8_t *mantissas, int exponent);
FJ_PUBLIC int fj_get_weights_int8(const fj_network *network, int layer, int8_t *mantissas); /* returns the exponent */
/* The same for all layers, one behind the other: fj_value_count numbers, and an exponent for each layer. */
FJ_PUBLIC size_t fj_value_count(const fj_network *network);
FJ_PUBLIC void fj_set_all_fp32(fj_network *network, const float *values);
FJ_PUBLIC void fj_get_all_fp32(const fj_network *network, float *values);
FJ_PUBLIC void fj_set_all_int8(fj_network *network, const int8_t *mantissas, const int32_t *exponents);
FJ_PUBLIC void fj_get_all_int8(const fj_network *network, int8_t *mantissas, int32_t *exponents);
/* Xavier uniform of a counter-based generator; INT8 rounds the same values (exponent ceil(log2(max|w| / 127))). */
FJ_PUBLIC void fj_init_weights(fj_network *network, uint64_t seed);
/* Keeps a copy of the present weights inside the network, and brings it back, as often as wanted: rounds of a client
 * begin alike. Keeping returns 0, or -1 if memory is short; without a copy bringing back does nothing. */
FJ_PUBLIC int fj_keep_weights(fj_network *network);
FJ_PUBLIC void fj_recall_weights(fj_network *network);
/* FNV-1a of all weights as they would be read: equal sums, equal weights. */
FJ_PUBLIC uint64_t fj_checksum(const fj_network *network);

/* Logits [batch, classes]. FP32 takes and gives floats, INT8 mantissas; the INT8 ones return the logits' exponent. */
FJ_PUBLIC void fj_forward_fp32(fj_network *network, const float *input, int batch, float *logits);
FJ_PUBLIC int fj_forward_int8(
    fj_network *network, const int8_t *input, int exponent, int batch, const fj_step *step, int8_t *logits);

/* One step of training: forward, backward, update. Labels are 0 to classes-1. Return how many of the batch were right
 * before the step, and in `loss`, if it is not NULL, the mean cross-entropy (INT8: in floats, for reports only). */
FJ_PUBLIC int fj_train_fp32(
    fj_network *network, const float *input, const int32_t *labels, int batch, const fj_step *step, float *loss);
FJ_PUBLIC int fj_train_int8(fj_network *network, const int8_t *input, int exponent, const int32_t *labels, int batch,
                            const fj_step *step, float *loss);

/* Many steps in one call: all that a client does in a round. Images stay where they are, as bytes; a batch of them is
 * looked up in a table when its turn comes. */
typedef struct {
    const uint8_t *pixels; /* [samples][h][w][c] */
    const int32_t *labels; /* [samples] */
    int64_t samples;
    const void *table;     /* [c][256]: what a pixel is worth; floats for FP32, mantissas from -127 for INT8, */
    int exponent;          /* and the exponent of these */
    const int32_t *order;  /* [ordered]: samples; batch b has order[bounds[b]] to order[bounds[b + 1] - 1] */
    const int32_t *bounds; /* [batches + 1] */
    int64_t ordered, batches;
    const int32_t *stop;   /* NULL, or what another thread sets to end the work before the next batch */
} fj_batches;

typedef struct {
    int64_t right;     /* images whose label had the largest logit, before their step */
    double loss;       /* their summed cross-entropy, each batch's rounded to 2^-20: sums are exact, in any order */
    int64_t batches;   /* that were done */
    int64_t saturated; /* INT8: weights at +-127 when training ended */
    int64_t at;        /* where in `order` or `bounds` the refused value is */
    int64_t is_read;   /* by fj_train_clients: the client is done, its weights are read out */
} fj_outcome;

typedef enum {
    FJ_DONE = 0,
    FJ_WRONG_BOUNDS = 1, /* a batch of no image, of more than the network takes, or beyond the order */
    FJ_WRONG_SAMPLE = 2,
    FJ_WRONG_LABEL = 3,
    FJ_NOT_FINITE = 4, /* FP32: the loss of the batch after the last that was done, or at the end a weight; when judging,
                          where all batches are done, the sum of the losses */
    FJ_NO_MEMORY = 5,
    FJ_STOPPED = 6
} fj_end;

/* Trains on every batch; batch b has the step number step->step + b. All is checked before the first step. */
FJ_PUBLIC fj_end fj_train_batches(
    fj_network *network, const fj_batches *batches, const fj_step *step, fj_outcome *outcome);
/* Trains `count` clients one after the other, each from the weights that were kept, and reads out the weights of each:
 * fj_value_count numbers (INT8: and an exponent for each layer; FP32 leaves `exponents`). Ends with the first client that
 * is not done; `outcomes` of those behind it must be zeros before. */
FJ_PUBLIC fj_end fj_train_clients(fj_network *network, const fj_batches *clients, const fj_step *steps, int64_t count,
                                  fj_outcome *outcomes, void *values, int32_t *exponents);
/* The same as fj_train_batches without training. Batch b is rounded as if in step number step->step + b. */
FJ_PUBLIC fj_end fj_judge_batches(
    fj_network *network, const fj_batches *batches, const fj_step *step, fj_outcome *outcome);

/* sums += weight * values, for `count` vectors of so many numbers, each with its weight of 0 or more. For floats in
 * whole numbers: weight * round(value * scale), ties to even, where scale must be a power of two; returns 0, or -1 and
 * leaves the sums (not the weights) as they were if a value is not within +-limit, or value * scale +-2^52. */
FJ_PUBLIC void fj_add_int8(
    int64_t *sums, const int8_t *const *values, const int64_t *weights, size_t count, size_t numbers);
FJ_PUBLIC int fj_add_fp32(int64_t *sums, const float *const *values, double scale, double limit, int64_t *weights,
                          size_t count, size_t numbers);

/* Of the last fj_train_int8 (before anything else is done with the network), for tests and reports: a layer's int32
 * gradient in O, ky, kx, C order, and its shifts. */
FJ_PUBLIC void fj_get_gradient_int8(const fj_network *network, int layer, int32_t *gradient);
typedef struct {
    int activation; /* shift of the layer's output */
    int error;      /* of the error of its input; -1 for the first layer, which has none */
    int update;
} fj_shifts;
FJ_PUBLIC fj_shifts fj_get_shifts_int8(const fj_network *network, int layer);
/* The loss gradient [batch, classes] that the last fj_train_int8 began its way back with. */
FJ_PUBLIC void fj_get_loss_gradient_int8(const fj_network *network, int batch, int8_t *gradient);

/* x -> mantissas with the power-of-two scale of its largest magnitude; returns the exponent (int8_training.md 1.5). */
FJ_PUBLIC int fj_quantize(const float *x, size_t count, int8_t *mantissas, fj_path path);

/* Whether this core can run a path, its name ("avx512"), and the best one for a precision. */
FJ_PUBLIC int fj_path_works(fj_path path);
FJ_PUBLIC const char *fj_path_name(fj_path path);
FJ_PUBLIC fj_path fj_path_best(fj_precision precision);
/* The path that a network took, and its threads. */
FJ_PUBLIC fj_path fj_network_path(const fj_network *network);
/* The hash of the sources it was built from. */
FJ_PUBLIC const char *fj_build_id(void);
FJ_PUBLIC int fj_api_version(void);

#endif
