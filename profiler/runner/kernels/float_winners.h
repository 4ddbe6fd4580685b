/* The way back of a pooled convolution with few weights, for the vectors of the file that includes this: of four places
 * only the winner has an error, and often the ReLU took that too. What is left is followed one by one.
 */

/* A number that is not zero, and where its partner begins. */
typedef struct {
    int32_t at;
    float error;
} Winner;

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

/* The same with one row, and several winners at a time: their sums do not wait for each other. `count` is a multiple. */
INLINE void follow_row(int nv, int at_once, const Winner *winner, int count, const float *from, float *to, int add) {
    Vec sum[2 * MOST_VECTORS] = {{0}};
    for (int i = 0; i < count; i += at_once) {
        UNROLL
        for (int k = 0; k < at_once * nv; k++)
            sum[k] += winner[i + k / nv].error * load(from + winner[i + k / nv].at + k % nv * LANES);
    }
    UNROLL
    for (int k = 0; k < nv; k++) {
        UNROLL
        for (int i = 1; i < at_once; i++) sum[k] += sum[i * nv + k];
        store(to + k * LANES, add ? sum[k] + load(to + k * LANES) : sum[k]);
    }
}

/* Copies the inputs of an image's runs side by side, each in whole vectors. */
static void widen(const fj_float_layer *at, int image) {
    const float *from = at->input.data + (size_t)image * at->input.image;
    float *to = at->wide.data + (size_t)image * at->wide.image;
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
            lengths += (uint64_t)(error[o] != 0.0f) << which;
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
    if (at->wide.data == at->input.data) return load(row + (x * at->shape.in_c + c));
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
    if (at->wide.data != at->input.data) widen(at, task);
    if (!below) return;
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

/* The errors of channel o of an image, as the places of their inputs; whole fours, the rest zeros. */
INLINE int list_channel(const fj_float_layer *at, int image, int o, Winner *list) {
    const float *error = at->error.data + (size_t)image * at->error.image + o;
    const unsigned char *winner = at->winner + (size_t)image * (size_t)(at->cells * at->channels) + o;
    int count = 0;
    for (int cell = 0; cell < at->cells; cell++, error += at->shape.out_c, winner += at->channels) {
        list[count] = (Winner){at->wide.at[4 * cell + *winner], *error};
        count += *error != 0.0f;
    }
    for (int i = 0; i < 3; i++) list[count + i] = (Winner){0, 0.0f};
    return (count + 3) / 4 * 4;
}

/* One block of channels learns: over the images, then into both copies of its weights. */
static void winners_gradient(void *context, int task, int thread) {
    const fj_float_layer *at = context;
    int first = task * at->width, out_c = at->shape.out_c;
    int width = at->channels - first < at->width ? at->channels - first : at->width;
    int outs = out_c - first < width ? out_c - first : width, cap = at->cells + 3;
    float *gradient = at->scratch[thread];
    Winner *list = (Winner *)(gradient + (size_t)at->rows * (size_t)(at->width * at->span));
    int *counts = (int *)(list + at->width * cap);
    float bias[TILE_VECTORS * LANES] = {0};
    for (int n = 0; n < at->batch; n++) {
        const float *x = at->wide.data + (size_t)n * at->wide.image;
        for (int o = 0; o < outs; o++) {
            counts[o] = list_channel(at, n, first + o, list + o * cap);
            for (int i = 0; at->learns_bias && i < counts[o]; i++) bias[o] += list[o * cap + i].error;
        }
        for (int row = 0; row < at->rows; row++) {
            for (int o = 0; o < outs; o++) {
                for (int k = 0; k < at->span; k += MOST_VECTORS * LANES) {
                    const float *from = x + (size_t)row * at->wide_row + k;
                    float *to = gradient + (size_t)(row * at->width + o) * (size_t)at->span + k;
#define FOLLOW(n_) follow_row(n_, AT_ONCE(n_), list + o * cap, counts[o], from, to, n > 0)
                    WITH_VECTORS((at->span - k) / LANES, FOLLOW)
#undef FOLLOW
                }
            }
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
