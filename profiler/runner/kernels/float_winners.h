/* The way back of a pooled convolution with few weights, for the vectors of the file that includes this: of four places
 * only the winner has an error, and often the ReLU took that too. What is left is followed one by one.
 */

INLINE int not_zero(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits != 0;
}

#define MOST_VECTORS 8 /* of a run at once */

/* Calls CALL(n) with n, 1 to 8, as a constant. */
#define WITH_VECTORS(n, CALL) \
    switch (n) { \
    case 1: CALL(1); break; \
    case 2: CALL(2); break; \
    case 3: CALL(3); break; \
    case 4: CALL(4); break; \
    case 5: CALL(5); break; \
    case 6: CALL(6); break; \
    case 7: CALL(7); break; \
    default: CALL(8); \
    }

/* Winners of one channel or one place, `step` and `at_step` numbers apart. */
typedef struct {
    const int32_t *at;
    const float *error;
    size_t at_step, step;
    int count;
} Winners;

/* to[row] = or += the sum of error * from[at + row * next], for `rows` rows of `nv` vectors. Several winners at a time,
 * where there are few sums: then they do not wait for each other. */
INLINE void follow(int nv, int rows, int at_once, const Winners *of, const float *from, size_t next, float *to,
                   size_t to_next, int add) {
    Vec sum[2 * MOST_VECTORS] = {{0}};
    const int32_t *at = of->at;
    const float *error = of->error;
    int i = 0, vectors = rows * nv;
    for (; i + at_once <= of->count; i += at_once) {
        UNROLL
        for (int k = 0; k < at_once * vectors; k++) {
            size_t which = (size_t)(k / vectors), row = (size_t)(k % vectors / nv), j = (size_t)(k % nv * LANES);
            sum[k] += error[which * of->step] * load(from + at[which * of->at_step] + row * next + j);
        }
        at += (size_t)at_once * of->at_step, error += (size_t)at_once * of->step;
    }
    for (; i < of->count; i++, at += of->at_step, error += of->step) {
        UNROLL
        for (int k = 0; k < vectors; k++)
            sum[k] += *error * load(from + *at + (size_t)(k / nv) * next + (size_t)(k % nv * LANES));
    }
    UNROLL
    for (int k = 0; k < vectors; k++) {
        float *sink = to + (size_t)(k / nv) * to_next + (size_t)(k % nv * LANES);
        UNROLL
        for (int j = 1; j < at_once; j++) sum[k] += sum[j * vectors + k];
        store(sink, add ? sum[k] + load(sink) : sum[k]);
    }
}

/* The same for one or two rows of any number of vectors. */
INLINE void follow_rows(int rows, int span, const Winners *of, const float *from, size_t next, float *to,
                        size_t to_next, int add) {
    for (int k = 0; k < span; k += MOST_VECTORS * LANES) {
#define FOLLOW_2(n) follow(n, 2, n > 2 ? 1 : 2, of, from + k, next, to + k, to_next, add)
#define FOLLOW_1(n) follow(n, 1, n > 3 ? 2 : 4, of, from + k, next, to + k, to_next, add)
        if (rows == 2) WITH_VECTORS((span - k) / LANES, FOLLOW_2)
        else WITH_VECTORS((span - k) / LANES, FOLLOW_1)
#undef FOLLOW_2
#undef FOLLOW_1
    }
}

/* Copies the runs of an image side by side, each in whole vectors. */
static void widen(const fj_float_layer *at, int image, float *to) {
    const float *from = at->input.data + (size_t)image * at->input.image;
    int h = at->shape.in_h + 2 * at->shape.pad, w = fj_conv_w(&at->shape), last = at->run - (at->span - LANES);
    for (int y = 0; y < h; y++) {
        const float *run = from + (size_t)y * at->row;
        for (int x = 0; x < w; x++, run += at->shape.in_c, to += at->span) {
            int k = 0;
            for (; k < at->span - LANES; k += LANES) store(to + k, load(run + k));
            store(to + k, load_some(run + k, last));
        }
    }
}

/* The errors of an image by place: which channels won there, as their rows of weights, and their errors. */
static void list_places(const fj_float_layer *at, int image, int32_t *rows, float *errors, int *counts) {
    int out_c = at->shape.out_c;
    const float *error = at->error.data + (size_t)image * at->error.image;
    const unsigned char *winner = at->winner + (size_t)image * (size_t)(at->cells * at->channels);
    for (int cell = 0; cell < at->cells; cell++, error += out_c, winner += at->channels, counts += 4) {
        uint64_t lengths = 0; /* of four lists, 16 bits each */
        for (int o = 0; o < out_c; o++) {
            int which = winner[o] * 16, to = winner[o] * out_c + (int)(lengths >> which & 0xffff);
            rows[to] = o * at->span, errors[to] = error[o];
            lengths += (uint64_t)not_zero(error[o]) << which;
        }
        for (int d = 0; d < 4; d++) counts[d] = (int)(lengths >> 16 * d & 0xffff);
        rows += 4 * out_c, errors += 4 * out_c;
    }
}

static void winners_error(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int out_c = at->shape.out_c, lists = at->places * out_c;
    size_t next = (size_t)(out_c * at->span);
    float *sum = at->scratch[thread], *errors = sum + at->input.image + FJ_SLACK;
    int32_t *rows = (int32_t *)(errors + lists), *counts = rows + lists;
    memset(sum, 0, at->input.image * sizeof *sum);
    list_places(at, task, rows, errors, counts);
    for (int row = 0; row < at->rows; row += 2) {
        const float *w = at->by_row + (size_t)row * next;
        for (int p = 0; p < at->places; p++) {
            Winners of = {rows + p * out_c, errors + p * out_c, 1, 1, counts[p]};
            float *to = sum + at->input.at[p] + (size_t)row * at->row;
            if (of.count) follow_rows(at->rows - row < 2 ? 1 : 2, at->span, &of, w, next, to, at->row, 1);
        }
    }
    Cursor to = {(size_t)task, 0, at->below->cells};
    for (; to.image == (size_t)task; advance(&to, 1)) {
        const float *from = sum + at->inner.at[to.place];
        for (int c = 0; c < at->shape.in_c; c += LANES) {
            Vec of = load(from + c);
            put_error(at, &to, c, &of, 1, channels_of_last(at->shape.in_c, c, 1));
        }
    }
}

/* Where the inputs of the winners of some cells are, by cell and channel, from those of the first place. */
INLINE void find(const fj_float_layer *at, int image, int begin, int end, int first, int width, const int32_t *places,
                 int32_t *to) {
    size_t from = (size_t)image * (size_t)at->cells + (size_t)begin;
    const unsigned char *winner = at->winner + from * (size_t)at->channels + first;
    for (int cell = begin; cell < end; cell++, winner += at->channels, places += 4) {
        for (int o = 0; o < width; o += LANES, to += LANES) {
            Bytes bytes;
            memcpy(&bytes, winner + o, sizeof bytes);
            Lanes which = __builtin_convertvector(bytes, Lanes);
            Lanes of = places[0] + (-(which & 1) & (places[1] - places[0])) + (-(which >> 1) & (places[2] - places[0]));
            memcpy(to, &of, sizeof of);
        }
    }
}

/* What a group of channels learns from some cells of an image. */
typedef struct {
    const fj_float_layer *layer;
    int outs, width, cells;
    const float *x, *error;
    const int32_t *at; /* by cell and channel of the group */
    int add;
} Cells;

/* The winners of a channel without their zeros. */
INLINE Winners listed(const Winners *all, int32_t *at, float *errors) {
    int count = 0;
    for (int i = 0; i < all->count; i++) {
        float error = all->error[(size_t)i * all->step];
        at[count] = all->at[(size_t)i * all->at_step], errors[count] = error;
        count += not_zero(error);
    }
    return (Winners){at, errors, 1, 1, count};
}

/* Lists cost more than the zeros in short ones. Two rows at a time for all channels: their inputs stay near. */
INLINE void learn_cells(const Cells *of, Winners *winners, int32_t *list, float *errors, float *gradient) {
    const fj_float_layer *layer = of->layer;
    size_t out_c = (size_t)layer->shape.out_c, next = (size_t)(of->width * layer->span);
    int lists = layer->cells >= FJ_LISTED && layer->rows * layer->span > 4 * LANES;
    for (int o = 0; o < of->outs; o++) {
        winners[o] = (Winners){of->at + o, of->error + o, (size_t)of->width, out_c, of->cells};
        if (lists) winners[o] = listed(&winners[o], list + o * of->cells, errors + o * of->cells);
    }
    for (int row = 0; row < layer->rows; row += 2) {
        const float *x = of->x + (size_t)row * layer->wide_row;
        for (int o = 0; o < of->outs; o++) {
            float *to = gradient + (size_t)row * next + (size_t)(o * layer->span);
            follow_rows(layer->rows - row < 2 ? 1 : 2, layer->span, &winners[o], x, layer->wide_row, to, next, of->add);
        }
    }
}

/* Off both copies of the weights of a group of channels; the packed one, if there is one, gets them block by block. */
INLINE void learn_group(const fj_float_layer *at, int first, int outs, int width, const float *gradient) {
    size_t fan_in = fj_fan_in(&at->shape);
    for (int row = 0; row < at->rows; row++, gradient += width * at->span) {
        float *w = at->by_row + (size_t)(row * at->shape.out_c + first) * (size_t)at->span;
        for (int k = 0; k < outs * at->span; k += LANES) store(w + k, load(w + k) - at->rate * load(gradient + k));
        for (int o = first; o < first + outs && !at->winograd; w += LANES * at->span, o += LANES) {
            int block = o / at->width * at->width, left = first + outs - o;
            int packed = block_width(at->channels, block, at->width);
            float *to = at->weights + (size_t)block * fan_in + (size_t)(row * at->run * packed + o - block);
            turn(to, packed, at->run, w, at->span, left < LANES ? left : LANES);
        }
    }
}

INLINE void learn_bias(const fj_float_layer *at, int first, int outs) {
    for (int o = first; at->learns_bias && o < first + outs; o++) {
        float sum = 0.0f;
        for (int n = 0; n < at->batch; n++) {
            const float *error = at->error.data + (size_t)n * at->error.image + o;
            for (int cell = 0; cell < at->cells; cell++) sum += error[(size_t)cell * (size_t)at->shape.out_c];
        }
        at->bias[o] -= at->rate * sum;
    }
}

/* A group of channels learns: all of them, or those of one vector if there are more threads. */
static void winners_gradient(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int width = at->group, first = task * width, out_c = at->shape.out_c, step = at->thin ? FJ_CELLS : at->cells;
    int outs = out_c - first < width ? out_c - first : width;
    float *wide = at->scratch[thread];
    float *gradient = wide + (at->thin ? (size_t)(4 * FJ_CELLS * at->span) : at->wide.image) + FJ_SLACK;
    float *errors = gradient + (size_t)(at->rows * width * at->span);
    int32_t *found = (int32_t *)(errors + step * width), *list = found + step * width;
    Winners *winners = (Winners *)(list + step * width);
    for (int n = 0; n < at->batch; n++) {
        const float *error = at->error.data + (size_t)n * at->error.image + first;
        if (at->widened) widen(at, n, wide);
        for (int begin = 0; begin < at->cells; begin += step, error += step * out_c) {
            int end = begin + step < at->cells ? begin + step : at->cells;
            if (at->thin) expand(at, n, 4 * begin, 4 * end, wide);
            find(at, n, begin, end, first, width, at->wide.at + (at->thin ? 0 : 4 * begin), found);
            const float *x = at->widened || at->thin ? wide : at->input.data + (size_t)n * at->input.image;
            Cells of = {at, outs, width, end - begin, x, error, found, n + begin > 0};
            learn_cells(&of, winners, list, errors, gradient);
        }
    }
    learn_group(at, first, outs, width, gradient);
    learn_bias(at, first, outs);
}

/* Four channels alone would leave three quarters of a vector of sixteen idle. */
INLINE int few(const fj_float_layer *at, int first) {
    return at->shape.out_c - first <= LANES / 4;
}

/* Forward for the last few channels of a layer: as products of whole runs, a window by two channels at a time. */
INLINE void forward_few(const fj_float_layer *at, int o, int begin, int end) {
    size_t next = (size_t)(at->shape.out_c * at->span);
    int second = o + 1 < at->shape.out_c ? at->span : 0;
    Cursor from = cursor(begin, at->places), to = cursor(begin / 4, at->cells);
    for (int m = begin; m < end; m += 4, advance(&from, 4), advance(&to, 1)) {
        const float *in[4];
        Vec sum[8] = {{0}};
        gather(in, 4, &at->input, from, 4);
        for (int row = 0; row < at->rows; row++) {
            const float *w = at->by_row + (size_t)row * next + (size_t)(o * at->span);
            for (int k = 0; k < at->span; k += LANES) {
                Vec of = load(w + k), other = load(w + second + k);
                UNROLL
                for (int i = 0; i < 4; i++) {
                    Vec x = load(in[i] + (size_t)row * at->row + k);
                    sum[i] += of * x;
                    sum[4 + i] += other * x;
                }
            }
        }
        size_t cell = to.image * (size_t)at->cells + (size_t)to.place;
        for (int j = 0; j < (second ? 2 : 1); j++) {
            float best = sum_of(sum[4 * j]);
            unsigned char which = 0;
            for (int d = 1; d < 4; d++) {
                float value = sum_of(sum[4 * j + d]);
                if (value > best) best = value, which = (unsigned char)d;
            }
            best += at->bias[o + j];
            at->winner[cell * (size_t)at->channels + (size_t)(o + j)] = which;
            where(&at->out, &to)[o + j] = best > 0.0f ? best : 0.0f;
        }
    }
}

static void winners_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task / at->chunks * at->width, begin, end;
    if (at->thin || !few(at, first)) {
        conv_forward(context, task, thread);
        return;
    }
    piece(at->places * at->batch, task % at->chunks, at->chunks, &begin, &end);
    for (int o = first; o < at->shape.out_c; o += 2) forward_few(at, o, begin, end);
}
