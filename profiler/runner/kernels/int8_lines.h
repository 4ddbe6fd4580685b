/* Template: the error of an input by vectors of a line, included by the passes. A file that has products of its own for it
 * defines LINE_PRODUCTS and lines_back before that; this here is their slow twin. */
#ifndef LINE_PRODUCTS
static uint32_t lines_back(const fj_int8_meeting *meeting, size_t meetings, size_t images, size_t image, size_t lanes,
                           int32_t *sums, size_t apart) {
    uint32_t largest = 0;
    for (size_t n = 0; n < images; n++, sums += apart) {
        for (size_t lane = 0; lane < FJ_INT8_LANES; lane++) {
            int32_t sum = 0;
            for (size_t m = 0; m < meetings; m++) {
                const uint8_t *e = meeting[m].errors + n * image;
                const int8_t *w = meeting[m].weights + 4 * lane;
                for (size_t i = 0; i < meeting[m].steps; i++, e += 4, w += 4 * FJ_INT8_LANES)
                    for (size_t j = 0; j < 4; j++) sum += (int8_t)(e[j] ^ (uint8_t)BIAS) * w[j];
            }
            sums[lane] = sum;
            if (lane < lanes && fj_magnitude(sum) > largest) largest = fj_magnitude(sum);
        }
    }
    return largest;
}
#endif

static void lines_turn(const int8_t *weights, size_t groups, int8_t *lanes) {
    for (size_t g = 0; g < groups; g++, weights += 16, lanes += 4 * FJ_INT8_LANES)
        bytes_to(lanes, turned(bytes_at(weights)));
}

static const fj_int8_line_kernels line_kernels = {.back = lines_back, .turn = lines_turn};
