#include "watch.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "complaint.h"

#define GRACE_NS 2000000000
/* A wait stands still while the device is suspended: look at the deadline now and then. */
#define LONGEST_WAIT_NS 10000000000

/* Waits for a signal; 0 when the time is over. */
static int await(const fj_watch *watch, int64_t wait_ns) {
    if (wait_ns < 0) wait_ns = 0;
    if (wait_ns > LONGEST_WAIT_NS) wait_ns = LONGEST_WAIT_NS;
    struct timespec wait = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
    int found = watch->deadline_ns || atomic_load(&watch->ending) ? sigtimedwait(&watch->signals, NULL, &wait)
                                                                  : sigwaitinfo(&watch->signals, NULL);
    return found > 0 ? found : errno == EINTR ? SIGALRM : 0;
}

static void *wait_for_end(void *argument) {
    fj_watch *watch = argument;
    int code = 0;
    while (!code && !atomic_load(&watch->done)) {
        int64_t left_ns = watch->deadline_ns ? watch->deadline_ns - fj_boottime_ns() : LONGEST_WAIT_NS;
        int found = watch->deadline_ns && left_ns <= 0 ? 0 : await(watch, left_ns);
        if (found && found != SIGALRM) code = 128 + found;
        else if (watch->deadline_ns && fj_boottime_ns() >= watch->deadline_ns) code = FJ_EXIT_DEADLINE;
    }
    atomic_store(&watch->ending, code);
    int64_t until_ns = fj_now_ns() + GRACE_NS;
    while (!atomic_load(&watch->done)) {
        int64_t left_ns = until_ns - fj_now_ns();
        int again = left_ns > 0 ? await(watch, left_ns) : 0;
        if (left_ns > 0 && (again == SIGALRM || again == 0)) continue;
        fj_log_abandon(watch->log, code);
        _exit(code);
    }
    return NULL;
}

int fj_watch_begin(fj_watch *watch, fj_log *log, double deadline_s) {
    static const int ends[] = {SIGTERM, SIGINT, SIGHUP};
    watch->log = log;
    watch->deadline_ns = deadline_s > 0.0 ? fj_boottime_ns() + (int64_t)(deadline_s * 1e9) : 0;
    atomic_store(&watch->ending, 0);
    atomic_store(&watch->done, 0);
    sigemptyset(&watch->signals);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct sigaction now;
        /* What the parent had us ignore stays ignored, as the hang-up of a detached job. */
        if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaddset(&watch->signals, ends[i]);
    }
    sigaddset(&watch->signals, SIGALRM); /* wakes the waiting thread when the run has ended */
    pthread_sigmask(SIG_BLOCK, &watch->signals, NULL);
    /* A write that fails says so: a closed pipe and a file at its limit must not kill. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (pthread_create(&watch->thread, NULL, wait_for_end, watch) == 0) return 0;
    return fj_complain(FJ_EXIT_MEMORY, "memory: the thread that waits for signals could not be made");
}

void fj_watch_end(fj_watch *watch) {
    atomic_store(&watch->done, 1);
    pthread_kill(watch->thread, SIGALRM);
    pthread_join(watch->thread, NULL);
}
