/* What ends a run early: a signal, or the deadline. A thread waits for them: nothing interrupts the training. */
#ifndef FJ_WATCH_H
#define FJ_WATCH_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "log.h"

typedef struct {
    fj_log *log;
    sigset_t signals;
    int64_t deadline_ns; /* of CLOCK_BOOTTIME; 0 for none */
    pthread_t thread;
    atomic_int ending; /* the exit code that was asked for, or 0 */
    atomic_bool done;
} fj_watch;

/* Call before any other thread is made: they inherit the blocked signals. Returns 0, or the exit code. */
int fj_watch_begin(fj_watch *watch, fj_log *log, double deadline_s);

/* The exit code with which the run is to end after the present batch, or 0. A batch that takes longer than two seconds
 * from then on is not waited for. */
static inline int fj_watch_ending(fj_watch *watch) {
    return atomic_load_explicit(&watch->ending, memory_order_relaxed);
}
void fj_watch_end(fj_watch *watch);

#endif
