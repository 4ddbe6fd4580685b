/* The JSON lines that the runner prints: whole lines, collected in memory and written now and then. */
#ifndef FJ_LOG_H
#define FJ_LOG_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "arguments.h"

typedef struct {
    int64_t t0_ns, t1_ns;
    int64_t parts_ns[FJ_PARTS]; /* -1: the batch had no such part */
} fj_times;

typedef struct {
    pthread_mutex_t lock; /* of the training thread, and of the one that ends a run that hangs */
    size_t used;
    int64_t flushed_ns;
    int alone;               /* a stage alone: batches may be very short */
    int64_t batches, lines;  /* of the present phase */
    int64_t together, count; /* batches that share a line, and how many of them have come */
    fj_times times;          /* of these */
    int begun, ended;
    char text[1 << 16];
} fj_log;

int64_t fj_now_ns(void);      /* CLOCK_MONOTONIC */
int64_t fj_boottime_ns(void); /* CLOCK_BOOTTIME, which counts on while the device is suspended */

void fj_log_open(fj_log *log, int alone);

/* Adds a line of text without control characters and writes what was collected; the first one is the hello. */
__attribute__((format(printf, 2, 3))) void fj_log_line(fj_log *log, const char *format, ...);
void fj_log_phase(fj_log *log, const char *name);

/* Adds `count` batches that were timed together, and writes what was collected if it is time. Each has a line of its
 * own, but for two cases: after 1,000 lines of a stage alone, as many share a line as last a fifth of a millisecond, so
 * that what lies between them does not count; after 200,000 lines of anything more and more share one, so that no run
 * prints more than can be read. */
void fj_log_batches(fj_log *log, const fj_times *times, int64_t count);

/* Adds the last line, `more` inside it, and writes everything. */
void fj_log_end(fj_log *log, int rc, const char *more);

/* The same for a run that hangs, from another thread; says nothing where the log is in use or has no beginning. */
void fj_log_abandon(fj_log *log, int rc);

#endif
