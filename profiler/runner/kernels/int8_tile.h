/* Template: products of a tile of ROWS x (VECTORS * LANES) sums, for the instruction set of the file that includes it.
 *
 * The file defines ROWS, HALF_ROWS (for the last tile), VECTORS, LANES, STEPS (of 4 values at a time), PAIR (rows that
 * share a Sum), BIAS, and
 *   Vec: LANES int32            vec_load, vec_store, vec_add, vec_most (largest magnitudes), vec_reduce
 *   Sum: sums of PAIR x LANES   sum_begin(start: zeros unless BIAS), sum_row(sum, row of the pair) -> Vec
 *   Cell: packed values of LANES columns and STEPS steps   cell_load(first step, bytes to the next)
 *   Spread: the same values of PAIR rows for all lanes     spread_load(rows, at, bytes to the next step)
 *   dot(Sum, Spread, Cell) -> Sum
 * SPREADS_FIRST if more of the rows than of the columns should wait in registers,
 * and INLINE, what such functions begin with.
 */
#define COLUMNS (VECTORS * LANES)
/* Sums live in registers only if every loop over them is unrolled. */
#if defined(__clang__)
#define EACH _Pragma("clang loop unroll(full)") for
#else
#define EACH _Pragma("GCC unroll 32") for
#endif

/* `count` rows, a number known when compiling. */
INLINE void sum_up(const int count, Sum sum[ROWS / PAIR][VECTORS], const uint8_t *const row[ROWS], size_t at,
                   size_t step, size_t steps, const int8_t *packed) {
    for (size_t i = 0; i < steps; i += STEPS, at += STEPS * step, packed += STEPS * COLUMNS * 4) {
#ifdef SPREADS_FIRST
        Spread spread[ROWS / PAIR];
        EACH (int r = 0; r < count / PAIR; r++) spread[r] = spread_load(&row[r * PAIR], at, step);
        EACH (int v = 0; v < VECTORS; v++) {
            Cell cell = cell_load(packed + v * LANES * 4, COLUMNS * 4);
            EACH (int r = 0; r < count / PAIR; r++) sum[r][v] = dot(sum[r][v], spread[r], cell);
        }
#else
        Cell cell[VECTORS];
        EACH (int v = 0; v < VECTORS; v++) cell[v] = cell_load(packed + v * LANES * 4, COLUMNS * 4);
        EACH (int r = 0; r < count / PAIR; r++) {
            Spread spread = spread_load(&row[r * PAIR], at, step);
            EACH (int v = 0; v < VECTORS; v++) sum[r][v] = dot(sum[r][v], spread, cell[v]);
        }
#endif
    }
}

INLINE uint32_t multiply_rows(const int count, const uint8_t *const *rows, int used, size_t line, int runs,
                              size_t steps, const int8_t *packed, const int32_t *start, int32_t *out, size_t stride) {
    const uint8_t *row[ROWS];
    Sum sum[ROWS / PAIR][VECTORS];
    EACH (int r = 0; r < count; r++) row[r] = rows[r];
    EACH (int r = 0; r < count / PAIR; r++)
        EACH (int v = 0; v < VECTORS; v++) sum[r][v] = sum_begin(start + v * LANES);
    for (int run = 0; run < runs; run++, packed += steps * COLUMNS * 4)
        sum_up(count, sum, row, (size_t)run * line, 4, steps, packed);
    Vec most = vec_zero();
    EACH (int r = 0; r < count; r++) {
        EACH (int v = 0; v < VECTORS; v++) {
            Vec x = sum_row(sum[r / PAIR][v], r % PAIR);
            most = vec_most(most, x);
            if (r < used) vec_store(out + (size_t)r * stride + v * LANES, x);
        }
    }
    return vec_reduce(most);
}

static uint32_t multiply(const uint8_t *const *rows, int used, size_t line, int runs, size_t steps,
                         const int8_t *packed, const int32_t *start, int32_t *out, size_t stride) {
    if (used <= HALF_ROWS) return multiply_rows(HALF_ROWS, rows, used, line, runs, steps, packed, start, out, stride);
    return multiply_rows(ROWS, rows, used, line, runs, steps, packed, start, out, stride);
}

/* `fresh`: not to be added to what `out` holds; `looks`: their largest magnitude is wanted. */
INLINE Vec accumulate_rows(const int fresh, const int looks, Vec most, const uint8_t *x, size_t x_step, int used,
                           size_t steps, const int8_t *packed, const int32_t *start, int32_t *out, size_t stride) {
    const uint8_t *row[ROWS];
    Sum sum[ROWS / PAIR][VECTORS];
    EACH (int r = 0; r < ROWS; r++) row[r] = x + 4 * r;
    EACH (int r = 0; r < ROWS / PAIR; r++)
        EACH (int v = 0; v < VECTORS; v++) sum[r][v] = sum_begin(start + v * LANES);
    sum_up(ROWS, sum, row, 0, x_step, steps, packed);
    EACH (int r = 0; r < ROWS; r++) {
        EACH (int v = 0; v < VECTORS; v++) {
            if (r >= used) continue;
            int32_t *to = out + (size_t)r * stride + v * LANES;
            Vec sums = sum_row(sum[r / PAIR][v], r % PAIR);
            if (!fresh) sums = vec_add(sums, vec_load(to));
            if (looks) most = vec_most(most, sums);
            vec_store(to, sums);
        }
    }
    return most;
}

static uint32_t accumulate(const uint8_t *x, size_t x_step, int rows, size_t steps, const int8_t *packed,
                           const int32_t *start, int fresh, int32_t *out, size_t stride) {
    Vec most = vec_zero();
    for (; rows > 0; rows -= ROWS, x += 4 * ROWS, out += ROWS * stride) {
        int used = rows < ROWS ? rows : ROWS;
        if (fresh) most = accumulate_rows(1, 1, most, x, x_step, used, steps, packed, start, out, stride);
        else most = accumulate_rows(0, 1, most, x, x_step, used, steps, packed, start, out, stride);
    }
    return vec_reduce(most);
}

static void accumulate_again(const uint8_t *x, size_t x_step, int rows, size_t steps, const int8_t *packed,
                             const int32_t *start, int32_t *out, size_t stride) {
    for (; rows > 0; rows -= ROWS, x += 4 * ROWS, out += ROWS * stride)
        accumulate_rows(1, 0, vec_zero(), x, x_step, rows < ROWS ? rows : ROWS, steps, packed, start, out, stride);
}

/* Several sums side by side: one would wait for itself. */
#define AT_ONCE 4

static void begin(const int8_t *packed, size_t steps, int32_t *start) {
    static const uint8_t bias[4] = {BIAS, BIAS, BIAS, BIAS};
    const uint8_t *const row[2] = {bias, bias};
    Sum sum[AT_ONCE][VECTORS];
    size_t i = 0;
    for (int c = 0; c < COLUMNS; c++) start[c] = 0;
    if (!BIAS) return;
    EACH (int n = 0; n < AT_ONCE; n++)
        EACH (int v = 0; v < VECTORS; v++) sum[n][v] = sum_begin(start + v * LANES);
    for (; i + AT_ONCE * STEPS <= steps; i += AT_ONCE * STEPS)
        EACH (int n = 0; n < AT_ONCE; n++)
            EACH (int v = 0; v < VECTORS; v++)
                sum[n][v] = dot(sum[n][v], spread_load(row, 0, 0),
                                cell_load(packed + ((i + n * STEPS) * VECTORS + v) * LANES * 4, COLUMNS * 4));
    for (; i < steps; i += STEPS)
        EACH (int v = 0; v < VECTORS; v++)
            sum[0][v] = dot(sum[0][v], spread_load(row, 0, 0),
                            cell_load(packed + (i * VECTORS + v) * LANES * 4, COLUMNS * 4));
    EACH (int v = 0; v < VECTORS; v++) {
        Vec all = sum_row(sum[0][v], 0);
        EACH (int n = 1; n < AT_ONCE; n++) all = vec_add(all, sum_row(sum[n][v], 0));
        vec_store(start + v * LANES, all);
    }
    for (int c = 0; c < COLUMNS; c++) start[c] = (int32_t)-(uint32_t)start[c];
}
