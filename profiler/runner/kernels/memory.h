/* Memory that begins with a cache line: the longest vectors are read from it whole. */
#ifndef FJ_MEMORY_H
#define FJ_MEMORY_H

#include <stdlib.h>
#include <string.h>

#define FJ_LINE_BYTES 64

/* Zeroed; NULL if there is none. To be freed with free(). (aligned_alloc is not on every Android.) */
static inline void *fj_zeroed(size_t bytes) {
    void *made = NULL;
    if (posix_memalign(&made, FJ_LINE_BYTES, (bytes + FJ_LINE_BYTES - 1) / FJ_LINE_BYTES * FJ_LINE_BYTES) != 0) return NULL;
    return memset(made, 0, bytes);
}

#endif
