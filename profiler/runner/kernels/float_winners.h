/* The way back of a pooled convolution with few weights, for the vectors of the file that includes this: of four places
 * only the winner has an error, and often the ReLU took that too. What is left is followed one by one.
 */

/* A number that is not zero, and where its partner begins. */
typedef struct {
    int32_t at;
    float error;
} Winner;

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

/* to[row] += the sum of error * from[at + row * next], for `rows` rows of `nv` vectors. */
INLINE void follow(int nv, int rows, const Winner *winner, int count, const float *from, size_t next, float *to, size_t to_next,
                   int add) {
    Vec sum[2 * MOST_VECTORS] = {{0}};
    for (int i = 0; i < count; i++) {
        const float *at = from + winner[i].at;
        float error = winner[i].error;
        UNROLL
        for (int k = 0; k < rows * nv; k++) sum[k] += error * load(at + (size_t)(k / nv) * next + (size_t)(k % nv * LANES));
    }
    UNROLL
    for (int k = 0; k < rows * nv; k++) {
        float *of = to + (size_t)(k / nv) * to_next + (size_t)(k % nv * LANES);
        store(of, add ? sum[k] + load(of) : sum[k]);
    }
}

/* The same with one row, for winners that lie `step` numbers apart. Several at a time: their sums do not wait. */
INLINE void follow_row(int nv, int at_once, const int32_t *at, size_t at_step, const float *error, size_t step, int count,
                       const float *from, float *to, int add) {
    Vec sum[2 * MOST_VECTORS] = {{0}};
    int i = 0;
    for (; i + at_once <= count; i += at_once, at += (size_t)at_once * at_step, error += (size_t)at_once * step) {
        UNROLL
        for (int k = 0; k < at_once * nv; k++)
            sum[k] += error[(size_t)(k / nv) * step] * load(from + at[(size_t)(k / nv) * at_step] + k % nv * LANES);
    }
    for (; i < count; i++, at += at_step, error += step) {
        UNROLL
        for (int k = 0; k < nv; k++) sum[k] += *error * load(from + *at + k * LANES);
    }
    UNROLL
    for (int k = 0; k < nv; k++) {
        UNROLL
        for (int j = 1; j < at_once; j++) sum[k] += sum[j * nv + k];
        store(to + k * LANES, add ? sum[k] + load(to + k * LANES) : sum[k]);
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

/* The errors of an image by place: which channels won there, as their rows of weights. */
static void list_places(const fj_float_layer *at, int image, Winner *list, int *counts) {
    int out_c = at->shape.out_c;
    const float *error = at->error.data + (size_t)image * at->error.image;
    const unsigned char *winner = at->winner + (size_t)image * (size_t)(at->cells * at->channels);
    for (int cell = 0; cell < at->cells; cell++, error += out_c, winner += at->channels, counts += 4) {
        uint64_t lengths = 0; /* of four lists, 16 bits each */
        for (int o = 0; o < out_c; o++) {
            int which = winner[o] * 16;
            list[winner[o] * out_c + (int)(lengths >> which & 0xffff)] = (Winner){o * at->span, error[o]};
            lengths += (uint64_t)not_zero(error[o]) << which;
        }
        for (int d = 0; d < 4; d++) counts[d] = (int)(lengths >> 16 * d & 0xffff);
        list += 4 * out_c;
    }
}

static void follow_places(const fj_float_layer *at, const Winner *list, const int *counts, int row, int rows, float *to) {
    size_t next = (size_t)(at->shape.out_c * at->span);
    for (int p = 0; p < at->places; p++, list += at->shape.out_c) {
        if (!counts[p]) continue;
        for (int k = 0; k < at->span; k += MOST_VECTORS * LANES) {
            const float *from = at->spread + (size_t)row * next + k;
            float *of = to + at->wide.at[p] + (size_t)row * at->wide_row + k;
#define FOLLOW_2(n) follow(n, 2, list, counts[p], from, next, of, at->wide_row, 1)
#define FOLLOW_1(n) follow(n, 1, list, counts[p], from, next, of, at->wide_row, 1)
            if (rows == 2) WITH_VECTORS((at->span - k) / LANES, FOLLOW_2)
            else WITH_VECTORS((at->span - k) / LANES, FOLLOW_1)
#undef FOLLOW_2
#undef FOLLOW_1
        }
    }
}

/* The error of an input is in the runs of up to `kernel` neighbours; without copies they are one. */
INLINE Vec folded(const fj_float_layer *at, const float *wide, int y, int x, int c) {
    const float *row = wide + (size_t)y * at->wide_row;
    if (!at->widened) return load(row + (x * at->shape.in_c + c));
    int last = fj_conv_w(&at->shape) - 1, most = x < at->shape.kernel - 1 ? x : at->shape.kernel - 1;
    Vec sum = {0};
    for (int kx = x > last ? x - last : 0; kx <= most; kx++)
        sum += load(row + (x - kx) * at->span + kx * at->shape.in_c + c);
    return sum;
}

static void winners_error(void *context, int task, int thread) {
    const fj_float_layer *at = context, *below = at->below;
    float *wide = at->scratch[thread];
    Winner *list = (Winner *)(wide + at->wide.image + LANES);
    int *counts = (int *)(list + at->places * at->shape.out_c + 1);
    memset(wide, 0, at->wide.image * sizeof *wide);
    list_places(at, task, list, counts);
    for (int row = 0; row < at->rows; row += 2)
        follow_places(at, list, counts, row, at->rows - row < 2 ? 1 : 2, wide);
    Cursor to = {(size_t)task, 0, below->cells};
    for (; to.image == (size_t)task; advance(&to, 1)) {
        int y = to.place / at->shape.in_w + at->shape.pad, x = to.place % at->shape.in_w + at->shape.pad;
        for (int c = 0; c < at->shape.in_c; c += LANES) {
            Vec of = folded(at, wide, y, x, c);
            put_error(at, &to, c, &of, 1, channels_of_last(at->shape.in_c, c, 1));
        }
    }
}

#define AT_ONCE(n) (n > 3 ? 2 : 4)

/* Where the inputs of the winners of some cells are, by cell and channel, from those of the first place. */
INLINE void find(const fj_float_layer *at, int image, int begin, int end, int first, int width, const int32_t *places,
                 int32_t *to) {
    const unsigned char *winner = at->winner + ((size_t)image * (size_t)at->cells + (size_t)begin) * (size_t)at->channels + first;
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

/* What one block of channels learns from some cells of an image. */
typedef struct {
    const fj_float_layer *layer;
    int outs, width, cells;
    const float *x, *error;
    const int32_t *at; /* by cell and channel of the block */
    int add;
} Cells;

INLINE void learn_row(const Cells *of, int row, int o, const int32_t *at, size_t at_step, const float *error, size_t step,
                      int count, float *gradient) {
    const fj_float_layer *layer = of->layer;
    for (int k = 0; k < layer->span; k += MOST_VECTORS * LANES) {
        const float *from = of->x + (size_t)row * layer->wide_row + k;
        float *to = gradient + (size_t)(row * layer->width + o) * (size_t)layer->span + k;
#define FOLLOW(n) follow_row(n, AT_ONCE(n), at, at_step, error, step, count, from, to, of->add)
        WITH_VECTORS((layer->span - k) / LANES, FOLLOW)
#undef FOLLOW
    }
}

/* Zeros are left out where that pays: in long lists, where their products cost more than the lists. */
INLINE void learn_cells(const Cells *of, int32_t *list, float *errors, float *gradient, float *bias) {
    const fj_float_layer *layer = of->layer;
    size_t out_c = (size_t)layer->shape.out_c;
    if (layer->learns_bias) {
        for (int cell = 0; cell < of->cells; cell++)
            for (int o = 0; o < of->outs; o++) bias[o] += of->error[(size_t)cell * out_c + (size_t)o];
    }
    if (layer->cells < 64 || layer->rows * layer->span <= 4 * LANES) {
        for (int row = 0; row < layer->rows; row++)
            for (int o = 0; o < of->outs; o++)
                learn_row(of, row, o, of->at + o, (size_t)of->width, of->error + o, out_c, of->cells, gradient);
        return;
    }
    int counts[TILE_VECTORS * LANES];
    for (int o = 0; o < of->outs; o++) {
        int count = 0;
        for (int cell = 0; cell < of->cells; cell++) {
            float error = of->error[(size_t)cell * out_c + (size_t)o];
            list[o * of->cells + count] = of->at[cell * of->width + o];
            errors[o * of->cells + count] = error;
            count += not_zero(error);
        }
        counts[o] = count;
    }
    for (int row = 0; row < layer->rows; row++)
        for (int o = 0; o < of->outs; o++)
            learn_row(of, row, o, list + o * of->cells, 1, errors + o * of->cells, 1, counts[o], gradient);
}

/* One block of channels learns: over the images, then into both copies of its weights. */
static void winners_gradient(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task * at->width, out_c = at->shape.out_c;
    int width = at->channels - first < at->width ? at->channels - first : at->width;
    int outs = out_c - first < width ? out_c - first : width, group = at->thin ? FJ_CELLS : at->cells;
    float *wide = at->scratch[thread], *gradient = wide + (at->thin ? (size_t)(4 * FJ_CELLS * at->span) : at->wide.image) + LANES;
    int32_t *found = (int32_t *)(gradient + (size_t)(at->rows * at->width * at->span)), *list = found + group * at->width;
    float *errors = (float *)(list + group * at->width), bias[TILE_VECTORS * LANES] = {0};
    for (int n = 0; n < at->batch; n++) {
        if (at->widened) widen(at, n, wide);
        for (int begin = 0; begin < at->cells; begin += group) {
            int end = begin + group < at->cells ? begin + group : at->cells;
            if (at->thin) expand(at, n, 4 * begin, 4 * end, wide);
            find(at, n, begin, end, first, width, at->wide.at + (at->thin ? 0 : 4 * begin), found);
            Cells of = {at, outs, width, end - begin, at->widened || at->thin ? wide : at->input.data + (size_t)n * at->input.image,
                        at->error.data + (size_t)n * at->error.image + (size_t)(begin * out_c + first), found, n + begin > 0};
            learn_cells(&of, list, errors, gradient, bias);
        }
    }
    for (int row = 0; row < at->rows; row++) {
        float *w = at->spread + (size_t)(row * out_c + first) * (size_t)at->span;
        const float *g = gradient + (size_t)(row * at->width) * (size_t)at->span;
        for (int k = 0; k < outs * at->span; k += LANES) store(w + k, load(w + k) - at->rate * load(g + k));
        turn(at->weights + (size_t)first * fj_fan_in(&at->shape) + (size_t)(row * at->run * width), width, at->run, w,
             at->span, outs);
    }
    for (int o = 0; at->learns_bias && o < outs; o++) at->bias[first + o] -= at->rate * bias[o];
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
            const float *w = at->spread + (size_t)row * next + (size_t)(o * at->span);
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

/* Four channels alone would leave three quarters of a vector of sixteen idle. */
static void winners_forward(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task / at->chunks * at->width, few = at->shape.out_c - first, begin, end;
    if (at->thin || few > LANES / 4) {
        conv_forward(context, task, thread);
        return;
    }
    piece(at->places * at->batch, task % at->chunks, at->chunks, &begin, &end);
    for (int o = first; o < at->shape.out_c; o += 2) forward_few(at, o, begin, end);
}
