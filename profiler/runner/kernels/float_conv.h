/* Convolutions, for the vectors of the file that includes this: forward, the error of the input, the weights' gradient.
 * No sum is split between threads, so the results do not depend on their number.
 */

typedef struct {
    float of[8];
} Eight;

/* The inputs of the places m to `end` of an image side by side, from short runs; eight at a time, past their end. */
INLINE void expand(const fj_float_layer *at, int image, int m, int end, float *to) {
    int kernel = at->shape.kernel, run = kernel * at->shape.in_c, span = at->span;
    const float *data = at->input.data + (size_t)image * at->input.image;
    size_t row = at->row;
    Eight eight;
    for (; m < end; m++, to += span) {
        const float *from = data + at->input.at[m];
        float *of = to;
        for (int ky = 0; ky < kernel; ky++, from += row, of += run) {
            memcpy(&eight, from, sizeof eight), memcpy(of, &eight, sizeof eight);
            if (run > 8) memcpy(&eight, from + 8, sizeof eight), memcpy(of + 8, &eight, sizeof eight);
        }
        eight = (Eight){{0}};
        for (; of < to + span; of += 8) memcpy(of, &eight, sizeof eight);
    }
}

INLINE void forward_tile(const fj_float_layer *at, int mr, int nv, int first, const float *w, int m, int end) {
    int count = end - m < mr ? end - m : mr, last = channels_of_last(at->shape.out_c, first, nv);
    const float *in[NARROW], *bias = at->bias + first;
    float patch[NARROW * FJ_MOST_THIN + LANES];
    Vec sum[MOST_SUMS], most[TILE_VECTORS];
    if (at->thin) {
        Cursor from = cursor(m, at->places);
        for (int i = 0; i < count; i++, advance(&from, 1))
            expand(at, (int)from.image, from.place, from.place + 1, patch + i * at->span);
        for (int i = 0; i < mr; i++) in[i] = patch + (i < count ? i : 0) * at->span;
    } else {
        gather(in, mr, &at->input, cursor(m, at->places), count);
    }
    multiply(sum, mr, nv, in, at->rows, at->row, at->run, w);
    if (at->shape.pool) {
        Cursor to = cursor(m / 4, at->cells);
        for (int i = 0; i < count; i += 4, advance(&to, 1)) {
            size_t cell = to.image * (size_t)at->cells + (size_t)to.place;
            pool(sum + i * nv, nv, bias, most, at->winner + cell * (size_t)at->channels + first);
            store_channels(where(&at->out, &to) + first, most, nv, last);
        }
        return;
    }
    Cursor to = cursor(m, at->cells);
    for (int i = 0; i < count; i++, advance(&to, 1)) {
        UNROLL
        for (int j = 0; j < nv; j++) most[j] = larger(sum[i * nv + j] + load(bias + j * LANES), (Vec){0});
        store_channels(where(&at->out, &to) + first, most, nv, last);
    }
}

/* A piece of the places: whole tiles of four. */
INLINE void piece(int places, int chunk, int chunks, int *begin, int *end) {
    int size = ((places + chunks - 1) / chunks + 11) / 12 * 12;
    *begin = chunk * size < places ? chunk * size : places;
    *end = *begin + size < places ? *begin + size : places;
}

static void conv_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task / at->chunks * at->width, begin, end;
    int width = block_width(at->channels, first, at->width);
    const float *w = at->weights + (size_t)first * fj_fan_in(&at->shape);
    (void)thread;
    piece(at->places * at->batch, task % at->chunks, at->chunks, &begin, &end);
    if (width == LANES) {
        for (int m = begin; m < end; m += NARROW) forward_tile(at, NARROW, 1, first, w, m, end);
    } else if (width == 2 * LANES) {
        for (int m = begin; m < end; m += NARROW) forward_tile(at, NARROW, 2, first, w, m, end);
    } else {
        for (int m = begin; m < end; m += WIDE) forward_tile(at, WIDE, 3, first, w, m, end);
    }
}

/* Turned and with inputs and outputs exchanged: ky, kx, output channel, then the block's input channels. */
static void flip(const fj_float_layer *at, int first, int width, float *to) {
    int kernel = at->shape.kernel, in_c = at->shape.in_c, out_c = at->shape.out_c;
    int ins = in_c - first < width ? in_c - first : width;
    size_t fan_in = fj_fan_in(&at->shape);
    if (ins < width) memset(to, 0, (size_t)(kernel * kernel * out_c * width) * sizeof *to);
    for (int place = 0; place < kernel * kernel; place++) {
        size_t from = (size_t)(kernel * kernel - 1 - place) * (size_t)in_c + (size_t)first;
        for (int o = 0; o < out_c; o += at->width) {
            int block = block_width(at->channels, o, at->width);
            int outs = out_c - o < block ? out_c - o : block;
            const float *w = at->weights + (size_t)o * fan_in + from * (size_t)block;
            turn(to + (place * out_c + o) * width, width, outs, w, block, ins);
        }
    }
}

/* Errors of an input, `nv` vectors of its channels from `first`, to the layer below: past its ReLU and its pool. */
INLINE void put_error(const fj_float_layer *at, const Cursor *to, int first, Vec *of, int nv, int last) {
    const fj_float_layer *below = at->below;
    const float *x = where(&at->inner, to) + first;
    float *error = below->error.data + to->image * below->error.image + first;
    UNROLL
    for (int j = 0; j < nv; j++) of[j] = choose(load(x + j * LANES) > 0.0f, of[j]);
    if (!below->shape.pool || below->sparse) {
        store_channels(error + below->error.at[to->place], of, nv, last);
        return;
    }
    size_t cell = to->image * (size_t)below->cells + (size_t)to->place;
    Lanes which[TILE_VECTORS];
    UNROLL
    for (int j = 0; j < nv; j++) {
        Bytes bytes;
        memcpy(&bytes, below->winner + cell * (size_t)below->channels + first + j * LANES, sizeof bytes);
        which[j] = __builtin_convertvector(bytes, Lanes);
    }
    for (int d = 0; d < 4; d++) {
        Vec won[TILE_VECTORS];
        UNROLL
        for (int j = 0; j < nv; j++) won[j] = choose(which[j] == d, of[j]);
        store_channels(error + below->error.at[4 * to->place + d], won, nv, last);
    }
}

INLINE void error_tile(const fj_float_layer *at, int mr, int nv, int first, const float *w, int m, int end) {
    int count = end - m < mr ? end - m : mr, last = channels_of_last(at->shape.in_c, first, nv);
    const float *in[NARROW];
    Vec sum[MOST_SUMS];
    Cursor to = cursor(m, at->below->cells);
    gather(in, mr, &at->back, to, count);
    multiply(sum, mr, nv, in, at->shape.kernel, at->error_row, at->shape.kernel * at->shape.out_c, w);
    for (int i = 0; i < count; i++, advance(&to, 1)) put_error(at, &to, first, sum + i * nv, nv, last);
}

static void conv_error(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task / at->back_chunks * at->back_width, begin, end;
    int width = block_width(at->below->channels, first, at->back_width);
    float *w = at->scratch[thread];
    piece(at->below->cells * at->batch, task % at->back_chunks, at->back_chunks, &begin, &end);
    if (begin == end) return;
    flip(at, first, width, w);
    if (width == LANES) {
        for (int m = begin; m < end; m += NARROW) error_tile(at, NARROW, 1, first, w, m, end);
    } else if (width == 2 * LANES) {
        for (int m = begin; m < end; m += NARROW) error_tile(at, NARROW, 2, first, w, m, end);
    } else {
        for (int m = begin; m < end; m += WIDE) error_tile(at, WIDE, 3, first, w, m, end);
    }
}

/* What becomes of a sum over one group of places. */
typedef struct {
    int first, last; /* of the groups */
    float rate;
} Group;

INLINE void learn(float *w, float *gradient, Vec sum, Group group) {
    if (!group.first) sum += load(gradient);
    if (group.last) store(w, load(w) - group.rate * sum);
    else store(gradient, sum);
}

/* The gradient of `mr` neighbours of a run, for the places in `in` with their errors side by side in `error`. */
INLINE void gradient_tile(int mr, int nv, const float *const *in, size_t from, const float *error, int count, float *w,
                          float *gradient, int rest, Group group) {
    Vec held[MOST_SUMS] = {{0}}, sum[MOST_SUMS];
    UNROLL_4
    for (int m = 0; m < count; m++, error += nv * LANES) {
        const float *x = in[m] + from;
        Vec of[TILE_VECTORS];
        UNROLL
        for (int j = 0; j < nv; j++) of[j] = load(error + j * LANES);
        UNROLL
        for (int i = 0; i < mr; i++) {
            if (FEW_REGISTERS && nv == 3) error = again(error), of[2] = load(error + 2 * LANES);
            UNROLL
            for (int j = 0; j < nv; j++) held[i * nv + j] += x[i] * of[j];
        }
    }
    UNROLL
    for (int i = 0; i < mr * nv; i++) sum[i] = held[i];
    int kept = nv * (rest < mr ? rest : mr);
    for (int i = 0; i < kept; i++) learn(w + i * LANES, gradient + i * LANES, sum[i], group);
}

/* Places m to m + count of a block of channels: their inputs, and their errors packed side by side. */
INLINE void pack_errors(const fj_float_layer *at, int nv, int first, int m, int count, const float **in, float *to) {
    int last = channels_of_last(at->shape.out_c, first, nv);
    float *patch = to + FJ_PLACES * at->width;
    Cursor from = cursor(m, at->places);
    for (int i = 0; i < count; i++, advance(&from, 1), to += nv * LANES) {
        const float *error = where(&at->error, &from) + first;
        in[i] = at->thin ? patch : where(&at->input, &from);
        if (at->thin) expand(at, (int)from.image, from.place, from.place + 1, patch), patch += at->span;
        UNROLL
        for (int j = 0; j < nv - 1; j++) store(to + j * LANES, load(error + j * LANES));
        store(to + (nv - 1) * LANES, load_some(error + (nv - 1) * LANES, last));
    }
}

INLINE void gradient_block(const fj_float_layer *at, int mr, int nv, int first, int chunk, float *errors) {
    const float *in[FJ_PLACES];
    int all = at->places * at->batch, tiles = (at->run + mr - 1) / mr, jobs = tiles * at->rows;
    int begin = (int)((long)jobs * chunk / at->chunks), end = (int)((long)jobs * (chunk + 1) / at->chunks);
    size_t block = (size_t)first * fj_fan_in(&at->shape);
    Vec bias[TILE_VECTORS] = {{0}};
    for (int m = 0; m < all; m += FJ_PLACES) {
        int count = all - m < FJ_PLACES ? all - m : FJ_PLACES;
        Group group = {m == 0, m + count == all, at->rate};
        pack_errors(at, nv, first, m, count, in, errors);
        for (int i = 0; i < count; i++) {
            UNROLL
            for (int j = 0; j < nv; j++) bias[j] += load(errors + (i * nv + j) * LANES);
        }
        for (int job = begin; job < end; job++) {
            int ky = job / tiles, k = job % tiles * mr;
            size_t to = block + (size_t)((ky * at->run + k) * nv * LANES);
            gradient_tile(mr, nv, in, (size_t)ky * at->row + (size_t)k, errors, count, at->weights + to,
                          at->gradient + to, at->run - k, group);
        }
    }
    if (!at->learns_bias || chunk) return;
    UNROLL
    for (int j = 0; j < nv; j++) {
        float *b = at->bias + first + j * LANES;
        store(b, load(b) - at->rate * bias[j]);
    }
}

static void conv_gradient(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task / at->chunks * at->width, chunk = task % at->chunks;
    int width = block_width(at->channels, first, at->width);
    float *errors = at->scratch[thread];
    if (width == LANES) gradient_block(at, NARROW, 1, first, chunk, errors);
    else if (width == 2 * LANES) gradient_block(at, NARROW, 2, first, chunk, errors);
    else gradient_block(at, WIDE, 3, first, chunk, errors);
}

/* The error of an image's flat input, as the fully connected layer above left it, to the places that it came from. */
static void spread(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    Cursor to = {(size_t)task, 0, at->below->cells};
    (void)thread;
    for (; to.image == (size_t)task; advance(&to, 1)) {
        const float *from = where(&at->inner, &to) - at->inner.data + at->back.data;
        for (int c = 0; c < at->shape.in_c; c += LANES) {
            Vec of = load(from + c);
            put_error(at, &to, c, &of, 1, channels_of_last(at->shape.in_c, c, 1));
        }
    }
}
