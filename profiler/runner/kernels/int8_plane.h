/* Template: planes of sums of a layer with one input channel, included behind the passes. A file that has products of its
 * own for them defines PLANE_PRODUCTS and plane_forward and plane_gradient before that; these here are their slow twins.
 */
typedef int16_t Words __attribute__((vector_size(32), aligned(1), may_alias));

#ifndef PLANE_PRODUCTS
static uint32_t plane_forward(const fj_int8_plane *of, const uint8_t *image, int32_t *sums, size_t apart) {
    uint32_t largest = 0;
    for (size_t o = 0; o < of->outputs; o++, sums += apart) {
        for (size_t p = 0; p < of->places; p++) sums[p] = 0;
        for (size_t ky = 0; ky < of->kernel; ky++) {
            for (size_t kx = 0; kx < of->kernel; kx++) {
                const int32_t w = of->weights[((ky * of->steps + kx / 4) * of->columns + o) * 4 + kx % 4];
                const uint8_t *x = image + ky * of->line + kx;
                for (size_t p = 0; p < of->places; p++) sums[p] += w * (int8_t)(x[p] ^ (uint8_t)BIAS);
            }
        }
        for (size_t p = 0; p < of->places; p++) {
            uint32_t magnitude = fj_magnitude(sums[p] & of->valid[p]);
            largest = magnitude > largest ? magnitude : largest;
        }
    }
    return largest;
}

static uint32_t plane_gradient(const fj_int8_plane *of, const uint8_t *at, size_t image, size_t images,
                               const int8_t *errors, size_t apart, int32_t *gradient) {
    uint32_t largest = 0;
    memset(gradient, 0, 4 * of->steps * of->columns * sizeof *gradient);
    for (size_t kx = 0; kx < of->kernel; kx++) {
        for (size_t o = 0; o < of->outputs; o++) {
            int32_t sum = 0;
            for (size_t n = 0; n < images; n++) {
                const uint8_t *x = at + n * image + kx;
                const int8_t *e = errors + (n * of->outputs + o) * apart;
                for (size_t p = 0; p < of->places; p++) sum += (int8_t)(x[p] ^ (uint8_t)BIAS) * e[p];
            }
            gradient[kx * of->columns + o] = sum;
            largest = fj_magnitude(sum) > largest ? fj_magnitude(sum) : largest;
        }
    }
    return largest;
}
#endif

/* Value and place in one number: of equal values the first place has the largest. */
static void plane_pool(const int8_t *upper, const int8_t *lower, size_t cells, int8_t *out, uint8_t *winner) {
    for (size_t i = 0; i < cells; i += FJ_INT8_CELLS) {
        Words above = *(const Words *)(const void *)(upper + 2 * i);
        Words below = *(const Words *)(const void *)(lower + 2 * i);
        Words key[4] = {above << 8, above, below << 8, below}, most;
        for (int k = 0; k < 4; k++) key[k] = (((key[k] >> 8) << 2) | (int16_t)(3 - k));
        most = key[0];
        for (int k = 1; k < 4; k++) {
            Words larger = (Words)(most > key[k]);
            most = (most & larger) | (key[k] & ~larger);
        }
        bytes_to(out + i, __builtin_convertvector(most >> 2, Bytes));
        bytes_to(winner + i, __builtin_convertvector((3 - (most & 3)) | ((Words)(most < 4) & 4), Bytes));
    }
}

/* One line after the other, from their beginning: what is written past the end of one is overwritten. */
static void plane_spread(const int8_t *errors, const uint8_t *winner, size_t cells, int8_t *upper, int8_t *lower) {
    for (uint8_t k = 0; k < 4; k += 2) {
        for (size_t i = 0; i < cells; i += FJ_INT8_CELLS) {
            Bytes e = bytes_at(errors + i), w = bytes_at(winner + i);
            Words left = __builtin_convertvector(e & (Bytes)(w == k), Words);
            Words right = __builtin_convertvector(e & (Bytes)(w == (uint8_t)(k + 1)), Words);
            *(Words *)(void *)((k ? lower : upper) + 2 * i) = left | (right << 8);
        }
    }
}

static void plane_join(const int8_t *const plane[4], uint8_t flip, uint8_t *cells) {
    interleave_16(bytes_at(plane[0]) ^ flip, bytes_at(plane[1]) ^ flip, bytes_at(plane[2]) ^ flip,
                  bytes_at(plane[3]) ^ flip, cells);
}

typedef uint32_t Quads __attribute__((vector_size(16)));

static void plane_part(const uint8_t *cells, int8_t *const plane[4]) {
    Quads q[4];
    for (int i = 0; i < 4; i++) q[i] = (Quads)turned(bytes_at(cells + 16 * i));
    Quads low_01 = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5);
    Quads low_23 = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5);
    Quads high_01 = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
    Quads high_23 = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
    bytes_to(plane[0], (Bytes)__builtin_shufflevector(low_01, low_23, 0, 1, 4, 5));
    bytes_to(plane[1], (Bytes)__builtin_shufflevector(low_01, low_23, 2, 3, 6, 7));
    bytes_to(plane[2], (Bytes)__builtin_shufflevector(high_01, high_23, 0, 1, 4, 5));
    bytes_to(plane[3], (Bytes)__builtin_shufflevector(high_01, high_23, 2, 3, 6, 7));
}

static const fj_int8_plane_kernels plane_kernels = {
    .forward = plane_forward, .gradient = plane_gradient, .pool = plane_pool,
    .spread = plane_spread, .join = plane_join, .part = plane_part,
};
