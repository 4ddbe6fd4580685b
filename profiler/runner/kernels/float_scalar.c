#include "float_scalar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "float_loss.h"

/* One layer. A fully connected one is a convolution whose kernel is as large as its input. */
typedef struct {
    fj_layer shape;
    int h, w, kh, kw; /* of the output before the pool, and of the kernel */
    size_t ins, sums, outs; /* values of an image: input, output before the pool, output */
    float *weights, *bias;
    float *gradient, *bias_gradient;
    float *input, *d_input; /* the input belongs to the layer before, or to the engine */
    float *sum, *d_sum;
    float *out, *d_out;
    size_t *winner; /* where in `sum` each pooled value came from */
} Layer;

struct fj_float_scalar {
    int layers, batch, bias;
    float *input;
    Layer layer[FJ_MOST_LAYERS];
};

static void *array(size_t count, size_t size) {
    return calloc(count ? count : 1, size);
}

static int make(Layer *at, const fj_layer *shape, size_t batch, int bias) {
    at->shape = *shape;
    at->h = fj_conv_h(shape), at->w = fj_conv_w(shape);
    at->kh = shape->kind == FJ_FC ? shape->in_h : shape->kernel;
    at->kw = shape->kind == FJ_FC ? shape->in_w : shape->kernel;
    at->ins = (size_t)shape->in_h * (size_t)shape->in_w * (size_t)shape->in_c;
    at->sums = (size_t)at->h * (size_t)at->w * (size_t)shape->out_c;
    at->outs = (size_t)shape->out_h * (size_t)shape->out_w * (size_t)shape->out_c;
    at->weights = array(shape->weights, sizeof(float));
    at->gradient = array(shape->weights, sizeof(float));
    at->bias = bias ? array((size_t)shape->out_c, sizeof(float)) : NULL;
    at->bias_gradient = array((size_t)shape->out_c, sizeof(float));
    at->d_input = array(batch * at->ins, sizeof(float));
    at->sum = array(batch * at->sums, sizeof(float));
    at->d_sum = array(batch * at->sums, sizeof(float));
    at->out = array(batch * at->outs, sizeof(float));
    at->winner = array(batch * at->outs, sizeof(size_t));
    return at->weights && at->gradient && (at->bias || !bias) && at->bias_gradient && at->d_input && at->sum &&
           at->d_sum && at->out && at->winner;
}

fj_float_scalar *fj_scalar_new(const fj_model *model, int batch, int bias) {
    fj_float_scalar *engine = calloc(1, sizeof *engine);
    if (!engine) return NULL;
    engine->layers = model->layers, engine->batch = batch, engine->bias = bias;
    engine->input = array((size_t)batch * (size_t)model->h * (size_t)model->w * (size_t)model->c, sizeof(float));
    int made = engine->input != NULL;
    for (int i = 0; i < model->layers && made; i++) {
        Layer *at = &engine->layer[i];
        made = make(at, &model->layer[i], (size_t)batch, bias);
        at->input = i ? at[-1].out : engine->input;
        if (i) at[-1].d_out = at->d_input;
    }
    if (made) {
        Layer *last = &engine->layer[engine->layers - 1];
        last->d_out = array((size_t)batch * last->outs, sizeof(float));
        if (last->d_out) return engine;
    }
    fj_scalar_free(engine);
    return NULL;
}

void fj_scalar_free(fj_float_scalar *engine) {
    if (!engine) return;
    for (int i = 0; i < engine->layers; i++) {
        Layer *at = &engine->layer[i];
        void *held[] = {at->weights, at->gradient, at->bias, at->bias_gradient, at->d_input,
                        at->sum,     at->d_sum,    at->out,  at->winner};
        for (size_t k = 0; k < sizeof held / sizeof held[0]; k++) free(held[k]);
    }
    free(engine->layer[engine->layers - 1].d_out);
    free(engine->input);
    free(engine);
}

void fj_scalar_set(fj_float_scalar *engine, int layer, const float *weights) {
    Layer *at = &engine->layer[layer];
    memcpy(at->weights, weights, at->shape.weights * sizeof *weights);
    if (at->bias) memcpy(at->bias, weights + at->shape.weights, (size_t)at->shape.out_c * sizeof *weights);
}

int fj_scalar_regions(fj_float_scalar *engine, int layer, fj_region *regions) {
    Layer *at = &engine->layer[layer];
    regions[0] = (fj_region){at->weights, at->shape.weights * sizeof *at->weights};
    regions[1] = (fj_region){at->bias, at->bias ? (size_t)at->shape.out_c * sizeof *at->bias : 0};
    return at->bias ? 2 : 1;
}

void fj_scalar_get(const fj_float_scalar *engine, int layer, float *weights) {
    const Layer *at = &engine->layer[layer];
    memcpy(weights, at->weights, at->shape.weights * sizeof *weights);
    if (at->bias) memcpy(weights + at->shape.weights, at->bias, (size_t)at->shape.out_c * sizeof *weights);
}

int fj_scalar_finite(const fj_float_scalar *engine) {
    for (const Layer *at = engine->layer; at < engine->layer + engine->layers; at++) {
        for (size_t i = 0; i < at->shape.weights; i++)
            if (!isfinite(at->weights[i])) return 0;
        for (int o = 0; at->bias && o < at->shape.out_c; o++)
            if (!isfinite(at->bias[o])) return 0;
    }
    return 1;
}

/* Calls for every product of an image: the output's place, the weight's and the input's. */
typedef void (*Product)(Layer *at, size_t out, size_t weight, size_t in);

static void of_sum(Layer *at, size_t out, size_t weight, size_t in) {
    at->sum[out] += at->weights[weight] * at->input[in];
}

static void of_gradient(Layer *at, size_t out, size_t weight, size_t in) {
    at->gradient[weight] += at->d_sum[out] * at->input[in];
}

static void of_error(Layer *at, size_t out, size_t weight, size_t in) {
    at->d_input[in] += at->d_sum[out] * at->weights[weight];
}

/* A row of the kernel of one output: a run of inputs that are neighbours in memory. */
static inline void row(Layer *at, Product product, size_t n, size_t out, int o, int y, int x, int ky) {
    int c = at->shape.in_c, in_y = y + ky - at->shape.pad;
    if (in_y < 0 || in_y >= at->shape.in_h) return;
    for (int kx = 0; kx < at->kw; kx++) {
        int in_x = x + kx - at->shape.pad;
        if (in_x < 0 || in_x >= at->shape.in_w) continue;
        size_t weight = (size_t)((o * at->kh + ky) * at->kw + kx) * (size_t)c;
        size_t in = n * at->ins + (size_t)(in_y * at->shape.in_w + in_x) * (size_t)c;
        for (int k = 0; k < c; k++) product(at, out, weight + (size_t)k, in + (size_t)k);
    }
}

static inline void products(Layer *at, Product product, int batch) {
    for (size_t n = 0; n < (size_t)batch; n++) {
        size_t out = n * at->sums;
        for (int y = 0; y < at->h; y++)
            for (int x = 0; x < at->w; x++)
                for (int o = 0; o < at->shape.out_c; o++, out++)
                    for (int ky = 0; ky < at->kh; ky++) row(at, product, n, out, o, y, x, ky);
    }
}

/* The pool takes the first of the largest, in the order of rows. */
static void pool(Layer *at, int batch) {
    size_t c = (size_t)at->shape.out_c, out = 0;
    for (size_t n = 0; n < (size_t)batch; n++)
        for (int y = 0; y < at->shape.out_h; y++)
            for (int x = 0; x < at->shape.out_w; x++)
                for (int o = 0; o < at->shape.out_c; o++, out++) {
                    size_t corner = n * at->sums + (size_t)(2 * y * at->w + 2 * x) * c + (size_t)o;
                    size_t below = corner + (size_t)at->w * c;
                    size_t places[] = {corner, corner + c, below, below + c};
                    size_t best = places[0];
                    for (int k = 1; k < 4; k++) best = at->sum[places[k]] > at->sum[best] ? places[k] : best;
                    at->winner[out] = best;
                }
}

static void forward(Layer *at, int batch) {
    size_t sums = (size_t)batch * at->sums, outs = (size_t)batch * at->outs, c = (size_t)at->shape.out_c;
    for (size_t i = 0; i < sums; i++) at->sum[i] = at->bias ? at->bias[i % c] : 0.0f;
    products(at, of_sum, batch);
    if (at->shape.pool) pool(at, batch);
    for (size_t i = 0; i < outs; i++) {
        float value = at->shape.pool ? at->sum[at->winner[i]] : at->sum[i];
        at->out[i] = at->shape.relu && !(value > 0.0f) ? 0.0f : value;
    }
}

static void backward(Layer *at, int batch, int first) {
    size_t sums = (size_t)batch * at->sums, outs = (size_t)batch * at->outs, c = (size_t)at->shape.out_c;
    memset(at->d_sum, 0, sums * sizeof *at->d_sum);
    memset(at->gradient, 0, at->shape.weights * sizeof *at->gradient);
    memset(at->bias_gradient, 0, c * sizeof *at->bias_gradient);
    for (size_t i = 0; i < outs; i++) {
        if (!at->shape.relu || at->out[i] > 0.0f) at->d_sum[at->shape.pool ? at->winner[i] : i] = at->d_out[i];
    }
    for (size_t i = 0; i < sums; i++) at->bias_gradient[i % c] += at->d_sum[i];
    products(at, of_gradient, batch);
    if (first) return;
    memset(at->d_input, 0, (size_t)batch * at->ins * sizeof *at->d_input);
    products(at, of_error, batch);
}

const float *fj_scalar_forward(fj_float_scalar *engine, const float *input, int batch) {
    memcpy(engine->input, input, (size_t)batch * engine->layer[0].ins * sizeof *input);
    for (int i = 0; i < engine->layers; i++) forward(&engine->layer[i], batch);
    return engine->layer[engine->layers - 1].out;
}

int fj_scalar_judge(fj_float_scalar *engine, const float *input, const int32_t *labels, int batch, float *loss) {
    Layer *last = &engine->layer[engine->layers - 1];
    const float *logits = fj_scalar_forward(engine, input, batch);
    return fj_float_loss(logits, labels, batch, last->shape.out_c, last->outs, last->d_out, last->outs, loss);
}

int fj_scalar_train(fj_float_scalar *engine, const float *input, const int32_t *labels, int batch, float learning_rate,
                    float *loss) {
    Layer *last = &engine->layer[engine->layers - 1];
    int right = fj_scalar_judge(engine, input, labels, batch, loss);
    for (int i = engine->layers - 1; i >= 0; i--) backward(&engine->layer[i], batch, i == 0);
    for (Layer *at = engine->layer; at <= last; at++) {
        for (size_t i = 0; i < at->shape.weights; i++) at->weights[i] -= learning_rate * at->gradient[i];
        for (int o = 0; at->bias && o < at->shape.out_c; o++) at->bias[o] -= learning_rate * at->bias_gradient[o];
    }
    return right;
}
