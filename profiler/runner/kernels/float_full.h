/* Fully connected layers, for the vectors of the file that includes this. The way back is one pass over the weights. */

/* sums of `rows` rows of weights times `images` inputs. */
INLINE void dot(int rows, int images, const float *w, const float *x, size_t row, float *to, size_t next, const float *bias,
                int relu, int rest) {
    Vec sum[FULL_ROWS * FULL_IMAGES] = {{0}};
    for (size_t k = 0; k < row; k += LANES) {
        Vec of[FULL_ROWS];
        UNROLL
        for (int r = 0; r < rows; r++) of[r] = load(w + (size_t)r * row + k);
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

/* Of one vector of columns and FULL_ROWS rows: adds to the inputs' errors, and takes the gradient off the weights. */
INLINE void backward_column(const fj_float_layer *at, float *w, const float *error, size_t k) {
    size_t row = at->row;
    Vec old[FULL_ROWS], new[FULL_ROWS];
    UNROLL
    for (int r = 0; r < FULL_ROWS; r++) old[r] = new[r] = load(w + (size_t)r * row + k);
    for (int n = 0; n < at->batch; n++, error += at->error.image) {
        float *back = at->back.data + (size_t)n * row + k;
        Vec of = load(back), x = load(at->scaled + (size_t)n * row + k);
        UNROLL
        for (int r = 0; r < FULL_ROWS; r++) {
            of += error[r] * old[r];
            new[r] += error[r] * x;
        }
        store(back, of);
    }
    UNROLL
    for (int r = 0; r < FULL_ROWS; r++) store(w + (size_t)r * row + k, new[r]);
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
        for (size_t k = begin; k < end; k += LANES)
            backward_column(at, at->weights + (size_t)o * at->row, at->error.data + o, k);
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
    {LANES, block_width, expand, conv_forward, conv_error, conv_gradient, winners_error, winners_gradient, \
     full_forward, full_backward, spread}
