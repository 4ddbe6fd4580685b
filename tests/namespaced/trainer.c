/* Keeps one core busy and says so in JSON lines: stands in for a training program.
 * trainer MODEL PRECISION BATCH_SIZE SECONDS */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t now_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint32_t work(uint32_t state, int64_t until_ns) {
    while (now_ns(CLOCK_MONOTONIC) < until_ns)
        for (int i = 0; i < 20000; i++) state = state * 1664525u + 1013904223u;
    return state;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fputs("usage: trainer MODEL PRECISION BATCH_SIZE SECONDS\n", stderr);
        return 2;
    }
    const int64_t begin_ns = now_ns(CLOCK_MONOTONIC), batch_ns = 50000000;
    const int64_t length_ns = (int64_t)(atof(argv[4]) * 1e9);
    uint32_t state = 1;
    printf("{\"kind\":\"hello\",\"version\":1,\"program\":\"trainer\",\"model\":\"%s\",\"precision\":\"%s\","
           "\"processor\":\"cpu\",\"batch_size\":%s,\"boottime_ns\":%lld,\"monotonic_ns\":%lld}\n",
           argv[1], argv[2], argv[3], (long long)now_ns(CLOCK_BOOTTIME), (long long)begin_ns);
    printf("{\"kind\":\"phase\",\"name\":\"run\",\"boottime_ns\":%lld}\n", (long long)now_ns(CLOCK_BOOTTIME));
    int64_t last_ns = now_ns(CLOCK_MONOTONIC);
    int batches = 0;
    while (last_ns - begin_ns < length_ns) {
        const int64_t start_ns = last_ns;
        state = work(state, start_ns + batch_ns);
        last_ns = now_ns(CLOCK_MONOTONIC);
        printf("{\"kind\":\"batch\",\"i\":%d,\"t0_ns\":%lld,\"t1_ns\":%lld,\"parts_ns\":{\"train\":%lld}}\n", batches++,
               (long long)start_ns, (long long)last_ns, (long long)(last_ns - start_ns));
        fflush(stdout);
    }
    printf("{\"kind\":\"end\",\"rc\":0,\"batches\":%d,\"checksum\":\"%08x\",\"boottime_ns\":%lld,\"monotonic_ns\":%lld}\n",
           batches, state, (long long)now_ns(CLOCK_BOOTTIME), (long long)now_ns(CLOCK_MONOTONIC));
    return 0;
}
