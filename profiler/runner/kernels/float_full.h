/* Fully connected layers, for the vectors of the file that includes this. The way back is one pass over the weights. */

/* sums of `rows` rows of weights times `images` inputs. */
INLINE void dot(int rows, int images, const float *w, const float *x, size_t row, float *to, size_t next, const float *bias,
                int relu, int rest) {
    Vec sum[FULL_ROWS * FULL_IMAGES] = {{0}};
    for (size_t k = 0; k < row; k += LANES) {
        Vec of[FULL_ROWS];
        UNROLL
        for (int r = 0; r < rows; r++) {
            of[r] = load(w + (size_t)r * row + k);
            __builtin_prefetch(w + (size_t)(r + rows) * row + k);
        }
        UNROLL
        for (int n = 0; n < images; n++) {
            Vec in = load(x + (size_t)n * row + k);
            UNROLL
            for (int r = 0; r < rows; r++) sum[n * rows + r] += of[r] * in;
        }
    }
    float value[FULL_ROWS * FULL_IMAGES];
    UNROLL
    for (int i = 0; i < rows * images; i++) value[i] = sum_of(sum[i]);
    for (int n = 0; n < images; n++) {
        for (int r = 0; r < rows && r < rest; r++) {
            float got = value[n * rows + r] + bias[r];
            to[(size_t)n * next + (size_t)r] = relu && !(got > 0.0f) ? 0.0f : got;
        }
    }
}

static void full_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int begin = task * FJ_FULL_TASK, end = begin + FJ_FULL_TASK < at->shape.out_c ? begin + FJ_FULL_TASK : at->shape.out_c;
    (void)thread;
    for (int o = begin; o < end; o += FULL_ROWS) {
        const float *w = at->weights + (size_t)o * at->row;
        for (int n = 0; n < at->batch; n += FULL_IMAGES) {
            const float *x = at->input.data + (size_t)n * at->row;
            float *to = at->out.data + (size_t)n * at->out.image + o;
#define DOT(images) dot(FULL_ROWS, images, w, x, at->row, to, at->out.image, at->bias + o, at->shape.relu, end - o)
            switch (at->batch - n) {
            case 1: DOT(1); break;
            case 2: DOT(2); break;
            case 3: DOT(3); break;
            case 4: DOT(4); break;
            default: DOT(5);
            }
#undef DOT
        }
    }
}

/* FULL_ROWS rows of weights, columns `begin` to `end`, and up to FULL_IMAGES images: with `back` the inputs' errors
 * grow, with `learn` the gradient is taken off the weights. */
INLINE void pass(const fj_float_layer *at, int images, int n, int o, size_t begin, size_t end, int back, int learn) {
    size_t row = at->row;
    float *w = at->weights + (size_t)o * row, *to = at->back.data + (size_t)n * row;
    const float *x = at->scaled + (size_t)n * row;
    Vec error[FULL_IMAGES][FULL_ROWS];
    UNROLL
    for (int i = 0; i < images; i++) {
        UNROLL
        for (int r = 0; r < FULL_ROWS; r++)
            error[i][r] = at->error.data[(size_t)(n + i) * at->error.image + (size_t)(o + r)] + (Vec){0};
    }
    for (size_t k = begin; k < end; k += LANES) {
        Vec old[FULL_ROWS], new[FULL_ROWS];
        UNROLL
        for (int r = 0; r < FULL_ROWS; r++) {
            old[r] = new[r] = load(w + (size_t)r * row + k);
            __builtin_prefetch(w + (size_t)(r + FULL_ROWS) * row + k);
        }
        UNROLL
        for (int i = 0; i < images; i++) {
            Vec of = {0}, in = {0};
            if (back) of = load(to + (size_t)i * row + k);
            if (learn) in = load(x + (size_t)i * row + k);
            UNROLL
            for (int r = 0; r < FULL_ROWS; r++) {
                if (back) of += error[i][r] * old[r];
                if (learn) new[r] += error[i][r] * in;
            }
            if (back) store(to + (size_t)i * row + k, of);
        }
        UNROLL
        for (int r = 0; r < FULL_ROWS && learn; r++) store(w + (size_t)r * row + k, new[r]);
    }
}

INLINE void passes(const fj_float_layer *at, int n, int o, size_t begin, size_t end, int back, int learn) {
    switch (at->batch - n) {
    case 1: pass(at, 1, n, o, begin, end, back, learn); break;
    case 2: pass(at, 2, n, o, begin, end, back, learn); break;
    case 3: pass(at, 3, n, o, begin, end, back, learn); break;
    case 4: pass(at, 4, n, o, begin, end, back, learn); break;
    default: pass(at, 5, n, o, begin, end, back, learn);
    }
}

static void full_backward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    size_t begin = (size_t)task * FJ_COLUMNS, end = begin + FJ_COLUMNS < at->row ? begin + FJ_COLUMNS : at->row;
    (void)thread;
    for (int n = 0; n < at->batch; n++) {
        const float *x = at->input.data + (size_t)n * at->row;
        float *scaled = at->scaled + (size_t)n * at->row;
        for (size_t k = begin; k < end; k += LANES) store(scaled + k, -at->rate * load(x + k));
        memset(at->back.data + (size_t)n * at->row + begin, 0, (end - begin) * sizeof(float));
    }
    for (int o = 0; o < at->shape.out_c; o += FULL_ROWS) {
        if (at->batch <= FULL_IMAGES) {
            passes(at, 0, o, begin, end, 1, 1);
            continue;
        }
        for (int n = 0; n < at->batch; n += FULL_IMAGES) passes(at, n, o, begin, end, 1, 0);
        for (int n = 0; n < at->batch; n += FULL_IMAGES) passes(at, n, o, begin, end, 0, 1);
    }
    if (task == 0 && at->learns_bias) {
        for (int o = 0; o < at->shape.out_c; o++) {
            float sum = 0.0f;
            for (int n = 0; n < at->batch; n++) sum += at->error.data[(size_t)n * at->error.image + (size_t)o];
            at->bias[o] -= at->rate * sum;
        }
    }
    if (!at->below || at->below->shape.kind == FJ_CONV) return;
    for (int n = 0; n < at->batch; n++) {
        size_t from = (size_t)n * at->row;
        for (size_t k = from + begin; k < from + end; k += LANES)
            store(at->back.data + k, choose(load(at->input.data + k) > 0.0f, load(at->back.data + k)));
    }
}

static int block_width(int channels) {
    int vectors = (channels + LANES - 1) / LANES;
    return LANES * (vectors < 3 ? vectors : 3);
}

#define KERNELS \
    {LANES, block_width, conv_forward, conv_error, conv_gradient, plane_forward, plane_gradient, winners_forward, \
     winners_error, winners_gradient, full_forward, full_backward, spread}
