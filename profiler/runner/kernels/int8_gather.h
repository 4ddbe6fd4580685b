/* Template: bytes of several pixels or columns brought together, included by the passes. */
#define LOW_BYTES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_BYTES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_PAIRS 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23
#define HIGH_PAIRS 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31
#define TURNED 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15

INLINE Bytes bytes_at(const void *from) {
    return *(const Bytes *)from;
}

INLINE void bytes_to(void *to, Bytes x) {
    *(Bytes *)to = x;
}

/* The first eight of four rows -> out[8][4]; the first sixteen -> out[16][4]. */
INLINE void interleave_8(Bytes a, Bytes b, Bytes c, Bytes d, uint8_t *out) {
    Bytes ab = __builtin_shufflevector(a, b, LOW_BYTES), cd = __builtin_shufflevector(c, d, LOW_BYTES);
    bytes_to(out, __builtin_shufflevector(ab, cd, LOW_PAIRS));
    bytes_to(out + 16, __builtin_shufflevector(ab, cd, HIGH_PAIRS));
}

INLINE void interleave_16(Bytes a, Bytes b, Bytes c, Bytes d, uint8_t *out) {
    Bytes ab = __builtin_shufflevector(a, b, HIGH_BYTES), cd = __builtin_shufflevector(c, d, HIGH_BYTES);
    interleave_8(a, b, c, d, out);
    bytes_to(out + 32, __builtin_shufflevector(ab, cd, LOW_PAIRS));
    bytes_to(out + 48, __builtin_shufflevector(ab, cd, HIGH_PAIRS));
}

static void gather_inputs(const uint8_t *const four[4], const fj_int8_stretch *stretch, int stretches,
                          uint8_t *packed) {
    const Bytes zeros = (Bytes){0} + (uint8_t)BIAS;
    for (; stretches > 0; stretches--, stretch++) {
        const uint8_t *a = four[0] + stretch->offset, *b = four[1] + stretch->offset, *c = four[2] + stretch->offset,
                      *d = four[3] + stretch->offset;
        if (stretch->length <= 8) interleave_8(bytes_at(a), bytes_at(b), bytes_at(c), bytes_at(d), packed);
        else
            for (int i = 0; i < stretch->length; i += 16)
                interleave_16(bytes_at(a + i), bytes_at(b + i), bytes_at(c + i), bytes_at(d + i), packed + 4 * i);
        packed += 4 * stretch->length;
        for (int i = 0; i < stretch->blank; i += 4) bytes_to(packed + 4 * i, zeros);
        packed += 4 * stretch->blank;
    }
}

/* 255 in the first `used` of 16 bytes. */
INLINE Bytes first_bytes(size_t used) {
    static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    return bytes_at(keep + 16 - (used < 16 ? used : 16));
}

static void gather_errors(const uint8_t *const four[4], size_t used, int8_t *packed) {
    for (size_t i = 0; i < COLUMNS; i += 16) {
        Bytes kept = first_bytes(used > i ? used - i : 0), row[4];
        for (int j = 0; j < 4; j++) row[j] = (bytes_at(four[j] + i) ^ (uint8_t)BIAS) & kept;
        interleave_16(row[0], row[1], row[2], row[3], (uint8_t *)packed + 4 * i);
    }
}

/* Squares of 4 inputs x 4 outputs, each turned over; four neighbours at a time where there are so many. */
INLINE Bytes turned(Bytes square) {
    return __builtin_shufflevector(square, square, TURNED);
}

INLINE void turn_four(const int8_t *weights, size_t quads, int8_t *to) {
    for (size_t q = 0; q < quads; q++, weights += 16, to += 4 * COLUMNS) {
        Bytes square[4];
        for (int i = 0; i < 4; i++) square[i] = turned(bytes_at(weights + i * 4 * COLUMNS));
        for (int i = 0; i < 4; i++) bytes_to(to + 16 * i, square[i]);
    }
}

INLINE void turn_some(const int8_t *weights, size_t used, size_t quads, int8_t *to) {
    for (size_t q = 0; q < quads; q++, weights += 16, to += 4 * COLUMNS) {
        for (size_t i = 0; i < used; i++) bytes_to(to + 16 * i, turned(bytes_at(weights + i * 4 * COLUMNS)));
        for (size_t i = used; i < 4; i++) bytes_to(to + 16 * i, (Bytes){0});
    }
}

static void turn(const int8_t *weights, size_t apart, size_t used, size_t quads, int8_t *packed) {
    for (size_t input = 0; input < COLUMNS / 4; input += 4, weights += 16 * COLUMNS, packed += 64) {
        size_t left = quads, here = used > input ? used - input : 0;
        const int8_t *tile = weights;
        int8_t *to = packed;
        for (; left >= COLUMNS / 4; left -= COLUMNS / 4, tile += apart, to += COLUMNS * COLUMNS) {
            if (here >= 4) turn_four(tile, COLUMNS / 4, to);
            else turn_some(tile, here, COLUMNS / 4, to);
        }
        turn_some(tile, here < 4 ? here : 4, left, to);
    }
}
