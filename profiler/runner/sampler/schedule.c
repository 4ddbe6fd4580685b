#define _GNU_SOURCE // CLOCK_BOOTTIME

#include "schedule.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#define S_NS 1000000000

static struct timespec spec(int64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / S_NS), .tv_nsec = (long)(ns % S_NS)};
}

int64_t fj_now_ns(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) {
        return -1;
    }
    return (int64_t)now.tv_sec * S_NS + now.tv_nsec;
}

void fj_begin(struct fj_schedule *schedule, int64_t period_ns, int64_t now_ns) {
    *schedule = (struct fj_schedule){.period_ns = period_ns, .first_ns = now_ns, .due_ns = now_ns};
}

void fj_row_done(struct fj_schedule *schedule, int64_t begun_ns, int64_t ended_ns) {
    double off_us = (double)(begun_ns - schedule->due_ns) / 1e3;
    schedule->rows++;
    schedule->sum_us += off_us;
    schedule->squares_us2 += off_us * off_us;
    if (off_us > schedule->most_us) {
        schedule->most_us = off_us;
    }
    schedule->due_ns += schedule->period_ns;
    if (ended_ns >= schedule->due_ns) {
        int64_t passed = (ended_ns - schedule->due_ns) / schedule->period_ns + 1;
        schedule->late++;
        schedule->missed += passed;
        schedule->due_ns += passed * schedule->period_ns;
    }
}

double fj_mean_us(const struct fj_schedule *schedule) {
    return schedule->rows > 0 ? schedule->sum_us / (double)schedule->rows : 0;
}

// The square root by Newton's way: without the mathematical library.
static double root(double square) {
    double found = square > 1 ? square : 1;
    for (int i = 0; i < 100 && square > 0; i++) {
        found = (found + square / found) / 2;
    }
    return square > 0 ? found : 0;
}

double fj_deviation_us(const struct fj_schedule *schedule) {
    if (schedule->rows < 2) {
        return 0;
    }
    double mean_us = fj_mean_us(schedule);
    double n = (double)schedule->rows;
    return root((schedule->squares_us2 - n * mean_us * mean_us) / (n - 1));
}

void fj_sleep_until(int64_t until_ns, const volatile sig_atomic_t *stop) {
    static bool absolute = true; // until a kernel says that it cannot sleep by this clock
    for (int64_t now_ns = fj_now_ns(); now_ns >= 0 && now_ns < until_ns && !*stop; now_ns = fj_now_ns()) {
        if (absolute) {
            struct timespec until = spec(until_ns);
            int error = clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL);
            absolute = error == 0 || error == EINTR;
        } else {
            struct timespec left = spec(until_ns - now_ns);
            nanosleep(&left, NULL);
        }
    }
}
