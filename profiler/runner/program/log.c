#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "complaint.h"

#define FLUSH_NS 200000000
#define LONGEST_LINE 4096
#define LINES_OF_ONE 200000
#define LINES_OF_MORE 25000
#define LINES_OF_SHORT 1000
#define SHORT_NS 200000

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t fj_now_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t fj_boottime_ns(void) {
    return read_clock(CLOCK_BOOTTIME);
}

void fj_log_open(fj_log *log, int alone) {
    memset(log, 0, offsetof(fj_log, text));
    log->alone = alone;
    pthread_mutex_init(&log->lock, NULL);
    log->flushed_ns = fj_now_ns();
}

/* Cuts a line of which only a part was written, where the output is a file that ends there. */
static void cut(const char *text, size_t written) {
    struct stat about;
    size_t whole = written;
    while (whole > 0 && text[whole - 1] != '\n') whole--;
    off_t at = lseek(STDOUT_FILENO, 0, SEEK_CUR);
    if (whole == written || at < 0 || fstat(STDOUT_FILENO, &about) != 0) return;
    if (!S_ISREG(about.st_mode) || about.st_size != at) return;
    if (ftruncate(STDOUT_FILENO, at - (off_t)(written - whole)) != 0) return; /* then a torn line stays */
}

/* Writes what was collected, or ends the program: a run whose lines are lost measures nothing. */
static void flush(fj_log *log, int64_t now_ns) {
    size_t written = 0;
    while (written < log->used) {
        ssize_t got = write(STDOUT_FILENO, log->text + written, log->used - written);
        if (got >= 0) {
            written += (size_t)got;
        } else if (errno == EAGAIN) {
            struct pollfd room = {STDOUT_FILENO, POLLOUT, 0};
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            int reason = errno;
            cut(log->text, written);
            _exit(fj_complain(FJ_EXIT_OUTPUT, "the output cannot be written: %s", strerror(reason)));
        }
    }
    log->used = 0;
    log->flushed_ns = now_ns;
}

static void make_room(fj_log *log, int64_t now_ns) {
    if (log->used + LONGEST_LINE > sizeof log->text) flush(log, now_ns);
}

static void add(fj_log *log, const char *text) {
    size_t length = strlen(text);
    memcpy(log->text + log->used, text, length);
    log->used += length;
}

/* Faster than printf: short batches follow each other closely. */
static void add_number(fj_log *log, int64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    memcpy(log->text + log->used, digits + at, sizeof digits - at);
    log->used += sizeof digits - at;
}

/* Adds the line of the batches that came since the last one. */
static void add_batches(fj_log *log) {
    const char *before = "\"";
    if (log->count == 0) return;
    make_room(log, log->times.t1_ns);
    add(log, "{\"kind\":\"batch\",\"i\":");
    add_number(log, log->batches - log->count);
    if (log->count > 1) {
        add(log, ",\"count\":");
        add_number(log, log->count);
    }
    add(log, ",\"t0_ns\":");
    add_number(log, log->times.t0_ns);
    add(log, ",\"t1_ns\":");
    add_number(log, log->times.t1_ns);
    add(log, ",\"parts_ns\":{");
    for (int part = 0; part < FJ_PARTS; part++) {
        if (log->times.parts_ns[part] < 0) continue;
        add(log, before);
        add(log, fj_stage_names[part]);
        add(log, "\":");
        add_number(log, log->times.parts_ns[part]);
        before = ",\"";
    }
    add(log, "}}\n");
    int64_t took_ns = log->times.t1_ns - log->times.t0_ns;
    log->count = 0;
    log->lines++;
    if (log->alone && log->lines >= LINES_OF_SHORT && took_ns < SHORT_NS) log->together *= 2;
    else if (log->lines >= LINES_OF_ONE && (log->lines - LINES_OF_ONE) % LINES_OF_MORE == 0) log->together *= 4;
}

static void add_line(fj_log *log, const char *format, va_list arguments) {
    int64_t now_ns = fj_now_ns();
    make_room(log, now_ns);
    int length = vsnprintf(log->text + log->used, LONGEST_LINE - 1, format, arguments);
    if (length < 0 || length >= LONGEST_LINE - 1) return; /* no line of ours is as long */
    log->used += (size_t)length;
    log->text[log->used++] = '\n';
    flush(log, now_ns);
}

void fj_log_line(fj_log *log, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&log->lock);
    add_batches(log);
    add_line(log, format, arguments);
    log->begun = 1;
    pthread_mutex_unlock(&log->lock);
    va_end(arguments);
}

void fj_log_phase(fj_log *log, const char *name) {
    fj_log_line(log, "{\"kind\":\"phase\",\"name\":\"%s\",\"boottime_ns\":%" PRId64 "}", name, fj_boottime_ns());
    pthread_mutex_lock(&log->lock);
    log->batches = log->lines = 0;
    log->together = 1;
    pthread_mutex_unlock(&log->lock);
}

void fj_log_batches(fj_log *log, const fj_times *times, int64_t count) {
    pthread_mutex_lock(&log->lock);
    if (log->count == 0) {
        log->times = *times;
    } else {
        log->times.t1_ns = times->t1_ns;
        for (int part = 0; part < FJ_PARTS; part++) log->times.parts_ns[part] += times->parts_ns[part];
    }
    log->batches += count;
    log->count += count;
    if (log->count >= log->together) add_batches(log);
    if (times->t1_ns - log->flushed_ns >= FLUSH_NS) flush(log, times->t1_ns);
    pthread_mutex_unlock(&log->lock);
}

static void add_text(fj_log *log, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_line(log, format, arguments);
    va_end(arguments);
}

static void add_end(fj_log *log, int rc, const char *more) {
    add_batches(log);
    add_text(log,
             "{\"kind\":\"end\",\"rc\":%d,\"batches\":%" PRId64 "%s,"
             "\"boottime_ns\":%" PRId64 ",\"monotonic_ns\":%" PRId64 "}",
             rc, log->batches, more, fj_boottime_ns(), fj_now_ns());
    log->ended = 1;
}

void fj_log_end(fj_log *log, int rc, const char *more) {
    pthread_mutex_lock(&log->lock);
    add_end(log, rc, more);
    pthread_mutex_unlock(&log->lock);
}

void fj_log_abandon(fj_log *log, int rc) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (pthread_mutex_timedlock(&log->lock, &until) != 0) return; /* the output itself is what hangs */
    if (log->begun && !log->ended) add_end(log, rc, "");
    /* The lock is kept: nothing may follow the last line. */
}
