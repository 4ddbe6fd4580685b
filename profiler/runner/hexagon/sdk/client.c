/* The phone's side: trains a network on the DSP with random numbers and prints JSON lines for `fedjoule profile`.
 *
 *   fjdsp_client train|empty MODEL CLASSES BATCH_SIZE BATCHES WARMUP
 *
 * It says what a batch costs, not what a network learns: images and weights are random, and the time of a step does not
 * depend on them. `train` times the call and the DSP's own part; `empty` times a call that only takes the images. Exit
 * code 2 for arguments that will not do, 1 if a call fails.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fjdsp.h"
#include "remote.h"
#include "../../kernels/model.h"

static uint64_t now_ns(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int number(const char *name, const char *text, long least, long most) {
    char *end;
    const long value = strtol(text, &end, 10);
    if (*text && !*end && value >= least && value <= most) return (int)value;
    fprintf(stderr, "%s must be a whole number from %ld to %ld (got %.20s)\n", name, least, most, text);
    exit(2);
}

/* Ends with what failed. The run then has no `end` line, and is invalid. */
static void demand(int result, const char *what) {
    if (result == 0) return;
    fprintf(stderr, "%s failed on the DSP (0x%x); see adb logcat -s adsprpc\n", what, (unsigned)result);
    exit(1);
}

static unsigned char *random_bytes(size_t count, uint32_t *state) {
    unsigned char *made = malloc(count);
    if (!made) {
        fprintf(stderr, "no memory for %zu bytes; choose a smaller BATCH_SIZE\n", count);
        exit(1);
    }
    for (size_t i = 0; i < count; i++) {
        *state = *state * 1103515245u + 12345u;
        made[i] = (unsigned char)(int8_t)((int)((*state >> 16) % 255) - 127); /* never -128 */
    }
    return made;
}

static void phase(const char *name) {
    printf("{\"kind\":\"phase\",\"name\":\"%s\",\"boottime_ns\":%llu}\n", name,
           (unsigned long long)now_ns(CLOCK_BOOTTIME));
}

typedef struct {
    remote_handle64 handle;
    int is_empty, batch_size;
    const unsigned char *images;
    int image_bytes;
    const int32_t *labels;
} Batch;

static void run(const Batch *batch, int count) {
    for (int i = 0; i < count; i++) {
        int64_t dsp_us = 0;
        const uint64_t begin = now_ns(CLOCK_MONOTONIC);
        if (batch->is_empty)
            demand(fjdsp_nothing(batch->handle, batch->images, batch->image_bytes), "nothing");
        else
            demand(fjdsp_train(batch->handle, batch->images, batch->image_bytes, -7, (const int32 *)batch->labels,
                               batch->batch_size, 3, 3, (int64 *)&dsp_us), "train");
        const uint64_t end = now_ns(CLOCK_MONOTONIC), whole = end - begin;
        const uint64_t inside = (uint64_t)dsp_us * 1000u < whole ? (uint64_t)dsp_us * 1000u : whole;
        printf("{\"kind\":\"batch\",\"i\":%d,\"t0_ns\":%llu,\"t1_ns\":%llu,\"parts_ns\":{\"transfer\":%llu", i,
               (unsigned long long)begin, (unsigned long long)end, (unsigned long long)(whole - inside));
        if (!batch->is_empty) printf(",\"train\":%llu", (unsigned long long)inside);
        puts("}}");
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    fj_model model;
    char error[256];
    if (argc != 7 || (strcmp(argv[1], "train") != 0 && strcmp(argv[1], "empty") != 0)) {
        fputs("fjdsp_client train|empty MODEL CLASSES BATCH_SIZE BATCHES WARMUP\n", stderr);
        return 2;
    }
    const int classes = number("CLASSES", argv[3], 0, 65536), batch_size = number("BATCH_SIZE", argv[4], 1, 4096);
    const int batches = number("BATCHES", argv[5], 1, 100000000), warmup = number("WARMUP", argv[6], 0, 1000000);
    if (fj_model_read(&model, argv[2], classes, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        return 2;
    }
    struct remote_rpc_control_unsigned_module unsigned_too = {.domain = CDSP_DOMAIN_ID, .enable = 1};
    remote_handle64 handle;
    uint32_t state = 1;
    demand(remote_session_control(DSPRPC_CONTROL_UNSIGNED_MODULE, &unsigned_too, sizeof unsigned_too), "unsigned PD");
    demand(fjdsp_open(fjdsp_URI CDSP_DOMAIN, &handle), "open");
    demand(fjdsp_prepare(handle, argv[2], classes, batch_size), "prepare");
    for (int i = 0; i < model.layers; i++) {
        unsigned char *weights = random_bytes(model.layer[i].weights, &state);
        demand(fjdsp_set_weights(handle, i, -8, weights, (int)model.layer[i].weights), "set_weights");
        free(weights);
    }
    const int image_bytes = batch_size * model.h * model.w * model.c;
    int32_t *labels = calloc((size_t)batch_size, sizeof *labels);
    if (!labels) return 1;
    for (int i = 0; i < batch_size; i++) labels[i] = i % model.classes;
    const Batch batch = {handle, argv[1][0] == 'e', batch_size, random_bytes((size_t)image_bytes, &state), image_bytes,
                         labels};
    printf("{\"kind\":\"hello\",\"version\":1,\"program\":\"fjdsp_client\",\"model\":\"%.80s\",\"precision\":\"int8\","
           "\"processor\":\"dsp\",\"batch_size\":%d,\"boottime_ns\":%llu,\"monotonic_ns\":%llu}\n",
           argv[2], batch_size, (unsigned long long)now_ns(CLOCK_BOOTTIME),
           (unsigned long long)now_ns(CLOCK_MONOTONIC));
    phase("warmup");
    run(&batch, warmup);
    phase("run");
    run(&batch, batches);
    uint64_t checksum = 0xcbf29ce484222325u;
    for (int i = 0; i < model.layers; i++) {
        unsigned char *weights = random_bytes(model.layer[i].weights, &state);
        demand(fjdsp_get_weights(handle, i, weights, (int)model.layer[i].weights), "get_weights");
        for (size_t at = 0; at < model.layer[i].weights; at++) checksum = (checksum ^ weights[at]) * 0x100000001b3u;
        free(weights);
    }
    printf("{\"kind\":\"end\",\"rc\":0,\"batches\":%d,\"checksum\":\"%016llx\",\"boottime_ns\":%llu,"
           "\"monotonic_ns\":%llu}\n",
           batches, (unsigned long long)checksum, (unsigned long long)now_ns(CLOCK_BOOTTIME),
           (unsigned long long)now_ns(CLOCK_MONOTONIC));
    fjdsp_close(handle);
    return fflush(stdout) ? 1 : 0;
}
