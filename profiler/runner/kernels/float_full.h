/* Fully connected layers, for the vectors of the file that includes this. The way back is one pass over the weights. */

/* sums of `rows` rows of weights times `images` inputs. */
INLINE void dot(int rows, int images, const float *w, const float *x, size_t row, float *to, size_t next,
                const float *bias, int relu, int rest) {
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
    int begin = task * FJ_FULL_TASK, end = begin + block_width(at->shape.out_c, begin, FJ_FULL_TASK);
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

/* What a pass over some rows of weights takes: which, and the images that have an error in them. */
typedef struct {
    int rows[FULL_ROWS], images[FULL_IMAGES];
    const int *next; /* the rows of the pass after it, to be fetched meanwhile */
} Pass;

/* Columns `begin` to `end` of the rows: with `back` the inputs' errors grow, with `learn` the gradient is taken off. */
INLINE void pass(const fj_float_layer *at, const Pass *of, int images, size_t begin, size_t end, int back, int learn) {
    size_t row = at->row;
    Vec error[FULL_IMAGES][FULL_ROWS];
    float *w[FULL_ROWS], *to[FULL_IMAGES];
    const float *x[FULL_IMAGES], *next[FULL_ROWS];
    UNROLL
    for (int r = 0; r < FULL_ROWS; r++) {
        w[r] = at->weights + (size_t)of->rows[r] * row;
        next[r] = at->weights + (size_t)of->next[r] * row;
    }
    UNROLL
    for (int i = 0; i < images; i++) {
        size_t n = (size_t)of->images[i];
        to[i] = at->back.data + n * row, x[i] = at->scaled + n * row;
        UNROLL
        for (int r = 0; r < FULL_ROWS; r++) {
            int o = of->rows[r];
            error[i][r] = (o < at->shape.out_c ? at->error.data[n * at->error.image + (size_t)o] : 0.0f) + (Vec){0};
        }
    }
    for (size_t k = begin; k < end; k += LANES) {
        Vec old[FULL_ROWS], new[FULL_ROWS];
        UNROLL
        for (int r = 0; r < FULL_ROWS; r++) {
            old[r] = new[r] = load(w[r] + k);
            __builtin_prefetch(next[r] + k);
        }
        UNROLL
        for (int i = 0; i < images; i++) {
            Vec sum = {0}, in = {0};
            if (back) sum = load(to[i] + k);
            if (learn) in = load(x[i] + k);
            UNROLL
            for (int r = 0; r < FULL_ROWS; r++) {
                if (back) sum += error[i][r] * old[r];
                if (learn) new[r] += error[i][r] * in;
            }
            if (back) store(to[i] + k, sum);
        }
        UNROLL
        for (int r = 0; r < FULL_ROWS && learn; r++) store(w[r] + k, new[r]);
    }
}

INLINE void passes(const fj_float_layer *at, const Pass *of, int images, size_t begin, size_t end, int back,
                   int learn) {
    switch (images) {
    case 0: break;
    case 1: pass(at, of, 1, begin, end, back, learn); break;
    case 2: pass(at, of, 2, begin, end, back, learn); break;
    case 3: pass(at, of, 3, begin, end, back, learn); break;
    case 4: pass(at, of, 4, begin, end, back, learn); break;
    default: pass(at, of, 5, begin, end, back, learn);
    }
}

/* Puts the outputs that have an error in order, those with errors in the same images side by side: a ReLU leaves about
 * half of the errors, so that a pass takes half of the images. Rows that nobody reads follow, to fill the last pass. */
INLINE void order_rows(const fj_float_layer *at) {
    int starts[(1 << FULL_IMAGES) + 1] = {0}, out_c = at->shape.out_c, *rows = at->order + 1;
    unsigned char *masks = at->masks;
    memset(masks, 0, (size_t)out_c);
    for (int n = 0; n < at->batch; n++) {
        const float *error = at->error.data + (size_t)n * at->error.image;
        for (int o = 0; o < out_c; o++) masks[o] |= (unsigned char)(not_zero(error[o]) << n);
    }
    for (int o = 0; o < out_c; o++) starts[masks[o] + 1]++;
    starts[1] = 0;
    for (int mask = 1; mask < 1 << FULL_IMAGES; mask++) starts[mask + 1] += starts[mask];
    at->order[0] = starts[1 << FULL_IMAGES];
    for (int i = 0; i < 2 * FULL_ROWS; i++) rows[at->order[0] + i] = out_c + i % FULL_ROWS;
    for (int o = 0; o < out_c; o++) {
        if (masks[o]) rows[starts[masks[o]]++] = o;
    }
}

/* What the way back needs first, and the biases. One task. */
static void full_order(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    (void)task, (void)thread;
    if (at->batch <= FULL_IMAGES) order_rows(at);
    for (int o = 0; o < at->shape.out_c && at->learns_bias; o++) {
        float sum = 0.0f;
        for (int n = 0; n < at->batch; n++) sum += at->error.data[(size_t)n * at->error.image + (size_t)o];
        at->bias[o] -= at->rate * sum;
    }
}

/* All images at once: every weight is read and written once. */
INLINE void backward_at_once(const fj_float_layer *at, size_t begin, size_t end) {
    const int *rows = at->order + 1;
    for (int o = 0; o < at->order[0]; o += FULL_ROWS) {
        Pass of = {.next = rows + o + FULL_ROWS};
        int images = 0, mask = 0;
        for (int r = 0; r < FULL_ROWS; r++) of.rows[r] = rows[o + r], mask |= at->masks[rows[o + r]];
        for (int n = 0; n < FULL_IMAGES; n++) {
            of.images[images] = n;
            images += mask >> n & 1;
        }
        passes(at, &of, images, begin, end, 1, 1);
    }
}

/* Some images at a time, first on all the way back: the weights change after that. */
INLINE void backward_in_turns(const fj_float_layer *at, size_t begin, size_t end) {
    for (int o = 0; o < at->shape.out_c; o += FULL_ROWS) {
        Pass of;
        for (int r = 0; r < FULL_ROWS; r++) of.rows[r] = o + r;
        of.next = of.rows;
        for (int learn = 0; learn < 2; learn++) {
            for (int n = 0; n < at->batch; n += FULL_IMAGES) {
                for (int i = 0; i < FULL_IMAGES; i++) of.images[i] = n + i;
                if (learn) passes(at, &of, at->batch - n, begin, end, 0, 1);
                else passes(at, &of, at->batch - n, begin, end, 1, 0);
            }
        }
    }
}

static void full_backward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    size_t begin = (size_t)task * at->columns, end = begin + at->columns < at->row ? begin + at->columns : at->row;
    (void)thread;
    for (int n = 0; n < at->batch; n++) {
        const float *x = at->input.data + (size_t)n * at->row;
        float *scaled = at->scaled + (size_t)n * at->row;
        for (size_t k = begin; k < end; k += LANES) store(scaled + k, -at->rate * load(x + k));
        memset(at->back.data + (size_t)n * at->row + begin, 0, (end - begin) * sizeof(float));
    }
    if (at->batch <= FULL_IMAGES) backward_at_once(at, begin, end);
    else backward_in_turns(at, begin, end);
    if (!at->below || at->below->shape.kind == FJ_CONV) return;
    for (int n = 0; n < at->batch; n++) {
        size_t from = (size_t)n * at->row;
        for (size_t k = from + begin; k < from + end; k += LANES)
            store(at->back.data + k, choose(load(at->input.data + k) > 0.0f, load(at->back.data + k)));
    }
}

static int width_of_blocks(int channels) {
    int vectors = (channels + LANES - 1) / LANES;
    return LANES * (vectors < 3 ? vectors : 3);
}

#define KERNELS \
    {LANES, width_of_blocks, conv_forward, conv_error, conv_gradient, plane_forward, plane_gradient, winograd_weights, \
     winograd_forward, winners_forward, winners_error, winners_gradient, full_forward, full_order, full_backward, \
     spread}
