/* Fully connected layers, for the vectors of the file that includes this. The way back is one pass over the weights. */

/* Outputs `o` and the FULL_ROWS - 1 after it, up to `end`, of `images` images. */
INLINE void dot(const fj_float_layer *at, int images, int n, int o, int end) {
    Vec sum[FULL_IMAGES][FULL_ROWS] = {{{0}}};
    size_t columns = at->columns, row = at->row;
    const float *w = at->weights + (size_t)o * columns, *x = at->input.data + (size_t)n * row;
    for (size_t left = row; left > 0; w += columns * at->stacked, x += columns) {
        size_t width = left < columns ? left : columns;
        left -= width;
        for (size_t k = 0; k < width; k += LANES) {
            Vec of[FULL_ROWS];
            UNROLL
            for (int r = 0; r < FULL_ROWS; r++) {
                of[r] = load(w + (size_t)r * columns + k);
                __builtin_prefetch(w + (size_t)(r + FULL_ROWS) * columns + k);
            }
            UNROLL
            for (int i = 0; i < images; i++) {
                Vec in = load(x + (size_t)i * row + k);
                UNROLL
                for (int r = 0; r < FULL_ROWS; r++) sum[i][r] += of[r] * in;
            }
        }
    }
    float value[FULL_IMAGES][FULL_ROWS];
    UNROLL
    for (int i = 0; i < images; i++) {
        UNROLL
        for (int r = 0; r < FULL_ROWS; r++) value[i][r] = sum_of(sum[i][r]);
    }
    for (int i = 0; i < images; i++) {
        for (int r = 0; r < FULL_ROWS && o + r < end; r++) {
            float got = value[i][r] + at->bias[o + r];
            float *to = at->out.data + (size_t)(n + i) * at->out.image + (size_t)(o + r);
            *to = at->shape.relu && !(got > 0.0f) ? 0.0f : got;
        }
    }
}

static void full_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int begin = task * FJ_FULL_TASK, end = begin + block_width(at->shape.out_c, begin, FJ_FULL_TASK);
    (void)thread;
    for (int o = begin; o < end; o += FULL_ROWS) {
        for (int n = 0; n < at->batch; n += FULL_IMAGES) {
            switch (at->batch - n) {
            case 1: dot(at, 1, n, o, end); break;
            case 2: dot(at, 2, n, o, end); break;
            case 3: dot(at, 3, n, o, end); break;
            case 4: dot(at, 4, n, o, end); break;
            default: dot(at, 5, n, o, end);
            }
        }
    }
}

/* What a pass over some rows of weights takes: which, and the images that have an error in them. */
typedef struct {
    int rows[FULL_ROWS], images[FULL_IMAGES];
    const int *next; /* the rows of the pass after it, to be fetched meanwhile */
} Pass;

/* What a task on the way back keeps for itself, for every image a row: the inputs times -rate, then their errors. In
 * the whole tensors a core would fetch ahead what another writes. */
INLINE float *own_columns(const fj_float_layer *at, size_t begin) {
    return at->own + 2 * (size_t)at->batch_size * begin;
}

/* Columns `begin` to `end` of the rows: with `back` the inputs' errors grow, with `learn` the gradient is taken off. */
INLINE void pass(const fj_float_layer *at, const Pass *of, int images, size_t begin, size_t end, int back, int learn) {
    size_t columns = at->columns, batch = (size_t)at->batch;
    float *first = at->weights + begin * at->stacked, *sums = own_columns(at, begin) + batch * columns;
    Vec error[FULL_IMAGES][FULL_ROWS];
    float *w[FULL_ROWS], *to[FULL_IMAGES];
    const float *x[FULL_IMAGES], *next[FULL_ROWS];
    UNROLL
    for (int r = 0; r < FULL_ROWS; r++) {
        w[r] = first + (size_t)of->rows[r] * columns;
        next[r] = first + (size_t)of->next[r] * columns;
    }
    UNROLL
    for (int i = 0; i < images; i++) {
        size_t n = (size_t)of->images[i];
        to[i] = sums + n * columns, x[i] = sums - (batch - n) * columns;
        UNROLL
        for (int r = 0; r < FULL_ROWS; r++) {
            int o = of->rows[r];
            error[i][r] = (o < at->shape.out_c ? at->error.data[n * at->error.image + (size_t)o] : 0.0f) + (Vec){0};
        }
    }
    for (size_t k = 0; k < end - begin; k += LANES) {
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
    size_t columns = at->columns, batch = (size_t)at->batch, width = end - begin;
    float *scaled = own_columns(at, begin), *sums = scaled + batch * columns;
    for (size_t n = 0; n < batch; n++) {
        const float *x = at->input.data + n * at->row + begin;
        for (size_t k = 0; k < width; k += LANES) store(scaled + n * columns + k, -at->rate * load(x + k));
    }
    memset(sums, 0, batch * columns * sizeof *sums);
    if (at->batch <= FULL_IMAGES) backward_at_once(at, begin, end);
    else backward_in_turns(at, begin, end);
    if (!at->below) return;
    int relu = at->below->shape.kind == FJ_FC; /* a convolution's is taken where its error is spread */
    for (size_t n = 0; n < batch; n++) {
        const float *x = at->input.data + n * at->row + begin;
        float *to = at->back.data + n * at->row + begin;
        for (size_t k = 0; k < width; k += LANES) {
            Vec of = load(sums + n * columns + k);
            store(to + k, relu ? choose(load(x + k) > 0.0f, of) : of);
        }
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
