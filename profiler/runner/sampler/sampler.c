// Writes one row of files' values every period, on an absolute schedule, until told to stop.
// Nothing is allocated, and only whole rows are written: whatever ends it, what is on disk can be read.
#define _GNU_SOURCE // sched_setaffinity

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"
#include "cell.h"
#include "schedule.h"

#ifndef FJ_BUILD_ID
#define FJ_BUILD_ID "unknown"
#endif

enum { GOOD = 0, FAILED = 1, BAD = 2 };
enum { MOST_ROW = 32 + FJ_MOST_FILES * (FJ_MOST_CELL + 1), MOST_COST = 1024 + FJ_MOST_FILES * (FJ_MOST_NAME + 32) };

static struct fj_file files[FJ_MOST_FILES];
static int64_t spent_ns[FJ_MOST_FILES]; // on reading each file
static char row[MOST_ROW];
static char header[FJ_MOST_FILES * (FJ_MOST_NAME + 1) + 64];
static char cost[MOST_COST];
static char stop_path[FJ_MOST_PATH + 16], cost_path[FJ_MOST_PATH + 16], cost_aside[FJ_MOST_PATH + 16];
static volatile sig_atomic_t stopped_by;

static void on_signal(int number) {
    stopped_by = number;
}

static void mind_signals(void) {
    // Without SA_RESTART: a signal ends the sleep.
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&stop.sa_mask);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGHUP, &ignore, NULL); // the host may go
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); // a limit shows as an error of the write
}

// Returns 0, or the error that kept bytes from being written.
static int put(int handle, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t done = write(handle, bytes, length);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done < 0 ? errno : EIO;
        }
        bytes += done;
        length -= (size_t)done;
    }
    return 0;
}

// Opens the file for the cost under another name and fills it, so that a disk that gets full has room for it.
static int reserve(void) {
    int handle = open(cost_aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    memset(cost, '\n', sizeof cost);
    return handle >= 0 && put(handle, cost, sizeof cost) == 0 ? handle : -1;
}

static void reserve_failed(int handle) {
    if (handle >= 0) {
        close(handle);
        unlink(cost_aside);
    }
}

static size_t add(size_t length, int printed) {
    size_t grown = length + (printed > 0 ? (size_t)printed : 0);
    return grown < sizeof cost ? grown : sizeof cost - 1;
}

// Writes what the sampler took. The first three lines are the shell sampler's: rows, and the `times` of its own.
static int write_cost(int handle, const struct fj_arguments *asked, const struct fj_schedule *kept, const char *ended,
                      bool pinned) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    long long user_us = (long long)used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec;
    long long system_us = (long long)used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec;
    size_t n = add(0, snprintf(cost, sizeof cost,
                               "rows %lld late %lld elapsed_cs %lld\n%lldm%lld.%06llds %lldm%lld.%06llds\n"
                               "0m0.000000s 0m0.000000s\nended %s\nprogram native %s\nmissed %lld\n"
                               "jitter_us mean %.1f sd %.1f max %.1f\ncpus %llx\n",
                               (long long)kept->rows, (long long)kept->late,
                               (long long)((fj_now_ns() - kept->first_ns) / 10000000), user_us / 60000000,
                               user_us / 1000000 % 60, user_us % 1000000, system_us / 60000000,
                               system_us / 1000000 % 60, system_us % 1000000, ended, FJ_BUILD_ID,
                               (long long)kept->missed, fj_mean_us(kept), fj_deviation_us(kept), kept->most_us,
                               pinned ? (unsigned long long)asked->cpus : 0ULL));
    for (int i = 0; i < asked->files; i++) {
        char name[FJ_MOST_NAME + 1];
        fj_column(asked->header, i, name);
        double mean_us = kept->rows > 0 ? (double)spent_ns[i] / 1e3 / (double)kept->rows : 0;
        n = add(n, snprintf(cost + n, sizeof cost - n, "read_us %s %.1f\n", name, mean_us));
    }
    bool whole = pwrite(handle, cost, n, 0) == (ssize_t)n && ftruncate(handle, (off_t)n) == 0;
    whole = close(handle) == 0 && whole;
    return whole && rename(cost_aside, cost_path) == 0 ? GOOD : FAILED;
}

// Makes the row of the moment `now_ns` and returns its length; `*ended_ns` is when the last file was read.
static size_t make_row(const struct fj_arguments *asked, int64_t now_ns, int64_t *ended_ns) {
    int printed = snprintf(row, 32, "%lld.%06lld", (long long)(now_ns / 1000000000),
                           (long long)(now_ns % 1000000000 / 1000));
    size_t length = (size_t)printed;
    int64_t before_ns = now_ns;
    for (int i = 0; i < asked->files; i++) {
        row[length++] = ',';
        length += fj_cell(&files[i], asked->reopen, row + length);
        *ended_ns = fj_now_ns();
        spent_ns[i] += *ended_ns - before_ns;
        before_ns = *ended_ns;
    }
    row[length++] = '\n';
    return length;
}

static bool removed(int handle) {
    struct stat found;
    return fstat(handle, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink == 0;
}

// Samples until something ends it and returns the exit code; `ended` gets the reason.
static int sample(int handle, int64_t size, const struct fj_arguments *asked, struct fj_schedule *kept,
                  char ended[64]) {
    for (;;) {
        int64_t now_ns = fj_now_ns();
        const char *why = stopped_by                      ? "signal"
                          : now_ns >= asked->deadline_ns  ? "deadline"
                          : access(stop_path, F_OK) == 0  ? "stop file"
                          : removed(handle)               ? "removed"
                                                          : NULL;
        if (why != NULL) {
            snprintf(ended, 64, "%s", why);
            return GOOD;
        }
        int64_t ended_ns = now_ns;
        size_t length = make_row(asked, now_ns, &ended_ns);
        if (size + (int64_t)length > asked->most_bytes) {
            snprintf(ended, 64, "samples at --most-bytes");
            return FAILED;
        }
        int error = put(handle, row, length);
        if (error != 0) {
            // Half a row may be there: it is cut off again, which needs no room.
            int cut = ftruncate(handle, (off_t)size);
            snprintf(ended, 64, "write error %d%s%s", error, error == ENOSPC ? " disk full" : "", cut == 0 ? "" : " torn");
            return FAILED;
        }
        size += (int64_t)length;
        fj_row_done(kept, now_ns, ended_ns);
        fj_sleep_until(kept->due_ns < asked->deadline_ns ? kept->due_ns : asked->deadline_ns, &stopped_by);
    }
}

// Returns whether it now runs on the cores asked for; where that is denied it runs on any.
static bool pin(uint64_t mask) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int core = 0; core < 64; core++) {
        if (mask >> core & 1) {
            CPU_SET(core, &cores);
        }
    }
    return mask != 0 && sched_setaffinity(0, sizeof cores, &cores) == 0;
}

// Returns whether a file of uptime, by which others here tell the time, shows our clock: in some containers it does
// not, and rows by another clock than the rest would be worse than none.
static bool same_clock(const char *path) {
    struct fj_file file = {.path = path, .handle = -1};
    char cell[FJ_MOST_CELL + 1];
    cell[fj_cell(&file, true, cell)] = '\0';
    char *end = cell;
    double off_s = strtod(cell, &end) - (double)fj_now_ns() / 1e9;
    return end != cell && off_s > -1 && off_s < 1;
}

static int refuse(const char *path, const char *rule) {
    fprintf(stderr, "sampler: %s %s (%s)\n", path, rule, strerror(errno));
    return FAILED;
}

int main(int count, char **word) {
    struct fj_arguments asked;
    int code = fj_arguments(count, word, &asked);
    if (code >= 0) {
        return code;
    }
    snprintf(stop_path, sizeof stop_path, "%s.stop", asked.samples);
    snprintf(cost_path, sizeof cost_path, "%s.cost", asked.samples);
    snprintf(cost_aside, sizeof cost_aside, "%s.cost.new", asked.samples);
    if (fj_now_ns() < 0) {
        return refuse("CLOCK_BOOTTIME", "cannot be read on this kernel; use the shell's sampler");
    }
    if (asked.uptime != NULL && !same_clock(asked.uptime)) {
        fprintf(stderr, "sampler: --uptime shows another time than CLOCK_BOOTTIME; use the shell's sampler here\n");
        return FAILED;
    }
    int handle = open(asked.samples, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct stat found;
    if (handle < 0 || fstat(handle, &found) != 0) {
        return refuse("SAMPLES", "cannot be written; give a file in a folder of yours");
    }
    if (found.st_size > 0) {
        fprintf(stderr, "sampler: SAMPLES must be empty or not there; remove it, or give another\n");
        return BAD;
    }
    mind_signals();
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); // a background process may be woken 40 ms late otherwise
    bool pinned = pin(asked.cpus);
    for (int i = 0; i < asked.files; i++) {
        files[i] = (struct fj_file){.path = asked.file[i], .handle = -1};
    }
    int cost_handle = reserve();
    int length = snprintf(header, sizeof header, "fedjoule-samples 1\ntime_s,%s\n", asked.header);
    int error = cost_handle < 0 ? errno : put(handle, header, (size_t)length);
    if (error != 0) {
        reserve_failed(cost_handle);
        int cut = ftruncate(handle, 0);
        errno = error;
        return refuse("SAMPLES", cut == 0 ? "cannot be begun; free some space" : "cannot be begun");
    }
    struct fj_schedule kept;
    char ended[64];
    fj_begin(&kept, asked.period_ns, fj_now_ns());
    code = sample(handle, length, &asked, &kept, ended);
    int written = write_cost(cost_handle, &asked, &kept, ended, pinned);
    if (code != GOOD) {
        fprintf(stderr, "sampler: SAMPLES ended early: %s\n", ended);
    }
    return code != GOOD ? code : written;
}
