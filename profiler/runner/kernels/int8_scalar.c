/* The INT8 kernels in plain C: what every other path must equal. */
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

#define FJ_KERNELS fj_int8_scalar
#define ROWS 4
#define HALF_ROWS 2
#define VECTORS 2
#define LANES 8
#define STEPS 1
#define PAIR 1
#define BIAS 0
#define HAS_PLANES
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    int32_t at[LANES];
} Vec;
typedef Vec Sum;
typedef struct {
    int32_t at[4];
} Spread;
typedef const int8_t *Cell;

INLINE Vec vec_load(const int32_t *from) {
    Vec x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void vec_store(int32_t *to, Vec x) {
    memcpy(to, &x, sizeof x);
}

INLINE Vec vec_zero(void) {
    return (Vec){{0}};
}

INLINE Vec vec_add(Vec a, Vec b) {
    for (int i = 0; i < LANES; i++) a.at[i] += b.at[i];
    return a;
}

INLINE Vec vec_most(Vec most, Vec x) {
    for (int i = 0; i < LANES; i++) {
        int32_t a = x.at[i] < 0 ? -x.at[i] : x.at[i];
        most.at[i] = a > most.at[i] ? a : most.at[i];
    }
    return most;
}

INLINE uint32_t vec_reduce(Vec x) {
    int32_t most = 0;
    for (int i = 0; i < LANES; i++) most = x.at[i] > most ? x.at[i] : most;
    return (uint32_t)most;
}

#define sum_begin(start) ((void)(start), vec_zero())
#define sum_row(sum, row) (sum)

INLINE Cell cell_load(const int8_t *from, size_t next) {
    (void)next;
    return from;
}

INLINE Spread spread_load(const uint8_t *const *row, size_t at, size_t step) {
    (void)step;
    Spread x;
    for (int j = 0; j < 4; j++) x.at[j] = (int8_t)row[0][at + (size_t)j];
    return x;
}

INLINE Sum dot(Sum sum, Spread a, Cell b) {
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < 4; j++) sum.at[i] += a.at[j] * b[4 * i + j];
    return sum;
}

#include "int8_tile.h"

#include "int8_passes.h"
