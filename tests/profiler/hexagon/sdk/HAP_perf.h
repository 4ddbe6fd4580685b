/* What the glue uses of the Hexagon SDK's header of this name, with the emulator's clock. */
#include <stdint.h>
#include <time.h>

static inline uint64_t HAP_perf_get_time_us(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000u + (uint64_t)at.tv_nsec / 1000u;
}
