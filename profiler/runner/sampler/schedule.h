// When rows are due: at fixed moments of CLOCK_BOOTTIME, however long the reading takes.
#ifndef FJ_SAMPLER_SCHEDULE_H
#define FJ_SAMPLER_SCHEDULE_H

#include <signal.h>
#include <stdint.h>

// How well the schedule was kept. Moments that passed while a row was made are missed, and not made up for.
struct fj_schedule {
    int64_t period_ns;
    int64_t first_ns;
    int64_t due_ns;
    int64_t rows;
    int64_t late; // rows at whose end the next moment had passed
    int64_t missed;
    double sum_us, squares_us2, most_us; // of a row's time minus the moment it was due
};

// Nanoseconds of CLOCK_BOOTTIME, which goes on while the device sleeps; -1 where there is no such clock.
int64_t fj_now_ns(void);

// Begins a schedule whose first row is due at `now_ns`.
void fj_begin(struct fj_schedule *schedule, int64_t period_ns, int64_t now_ns);

// Takes down that a row due was begun at `begun_ns` and ended at `ended_ns`; the next one is due after that.
void fj_row_done(struct fj_schedule *schedule, int64_t begun_ns, int64_t ended_ns);

double fj_mean_us(const struct fj_schedule *schedule);
double fj_deviation_us(const struct fj_schedule *schedule);

// Sleeps until `until_ns` of CLOCK_BOOTTIME, or until `*stop` is set by a signal.
void fj_sleep_until(int64_t until_ns, const volatile sig_atomic_t *stop);

#endif
