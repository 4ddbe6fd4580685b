#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FJ_BUILD_ID
#define FJ_BUILD_ID "unknown"
#endif

enum { BAD = 2 };

static const char USAGE[] =
    "usage: sampler [OPTION VALUE]... SAMPLES HEADER FILE...\n"
    "Writes one row of the files' first lines every period to SAMPLES, with the time of CLOCK_BOOTTIME in seconds.\n"
    "HEADER names a column for each file: a,b,c. It stops at SIGTERM or SIGINT, when SAMPLES.stop appears, when SAMPLES\n"
    "is removed, and at the deadline; then SAMPLES.cost says what it took.\n"
    "  --period-ms N    milliseconds between two rows (100)\n"
    "  --deadline-ms N  when to stop, in milliseconds of CLOCK_BOOTTIME (never)\n"
    "  --most-bytes N   SAMPLES grows no larger (62914560)\n"
    "  --cpus MASK      hexadecimal mask of the cores to run on, if they allow it (any)\n"
    "  --uptime FILE    begin only if this file's time, as in /proc/uptime, is that of CLOCK_BOOTTIME\n"
    "  --reopen 0|1     open the files anew for every row (0)\n"
    "  --version        print the version and the hash of the sources\n";

// Prints one line, the value without anything that a terminal would obey.
static int bad(const char *field, const char *value, const char *rule) {
    char safe[61];
    size_t length = 0;
    for (; value[length] != '\0' && length < sizeof safe - 1; length++) {
        safe[length] = value[length] >= ' ' && value[length] <= '~' ? value[length] : '?';
    }
    safe[length] = '\0';
    fprintf(stderr, "sampler: %s %s (got '%s'); see sampler --help\n", field, rule, safe);
    return BAD;
}

// Returns whether `text` is a whole number from `least` to `most`, in decimal or hexadecimal.
static bool number(const char *text, int base, uint64_t least, uint64_t most, uint64_t *value) {
    const char *digits = base == 16 ? "0123456789abcdefABCDEF" : "0123456789";
    if (text[0] == '\0' || text[strspn(text, digits)] != '\0') {
        return false;
    }
    errno = 0;
    *value = strtoull(text, NULL, base);
    return errno == 0 && *value >= least && *value <= most;
}

static int option(const char *name, const char *value, struct fj_arguments *asked) {
    uint64_t n = 0;
    if (strcmp(name, "--period-ms") == 0) {
        if (!number(value, 10, 1, 60000, &n)) {
            return bad(name, value, "must be a whole number from 1 to 60000");
        }
        asked->period_ns = (int64_t)n * 1000000;
    } else if (strcmp(name, "--deadline-ms") == 0) {
        if (!number(value, 10, 0, 1000000000000, &n)) {
            return bad(name, value, "must be a whole number from 0 to 1000000000000");
        }
        asked->deadline_ns = (int64_t)n * 1000000;
    } else if (strcmp(name, "--most-bytes") == 0) {
        if (!number(value, 10, 1000, 1000000000, &n)) {
            return bad(name, value, "must be a whole number from 1000 to 1000000000");
        }
        asked->most_bytes = (int64_t)n;
    } else if (strcmp(name, "--cpus") == 0) {
        if (!number(value, 16, 1, UINT64_MAX, &n)) {
            return bad(name, value, "must be a hexadecimal mask of cores from 1 to ffffffffffffffff");
        }
        asked->cpus = n;
    } else if (strcmp(name, "--uptime") == 0) {
        if (value[0] == '\0') {
            return bad(name, value, "must be a file, as /proc/uptime");
        }
        asked->uptime = value;
    } else if (strcmp(name, "--reopen") == 0) {
        if (!number(value, 10, 0, 1, &n)) {
            return bad(name, value, "must be 0 or 1");
        }
        asked->reopen = n == 1;
    } else {
        return bad("an option", name, "must be one that there is");
    }
    return -1;
}

// Returns the length of a column's name at `at`: up to the comma or the end.
static size_t name_length(const char *at) {
    return strcspn(at, ",");
}

static int check_header(const char *header, int files) {
    int names = 0;
    const char *at = header;
    for (bool more = true; more; names++) {
        size_t length = name_length(at);
        if (length == 0 || length > FJ_MOST_NAME || strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_") != length) {
            return bad("HEADER", header, "must hold names of 1 to 64 characters a-z, 0-9, _, with commas between");
        }
        if (length == strlen("time_s") && strncmp(at, "time_s", length) == 0) {
            return bad("HEADER", header, "must not name time_s, which is always first");
        }
        for (const char *before = header; before < at; before += name_length(before) + 1) {
            if (name_length(before) == length && strncmp(before, at, length) == 0) {
                return bad("HEADER", header, "must name a column once");
            }
        }
        at += length;
        more = *at == ',';
        at += more ? 1 : 0;
    }
    return names == files ? -1 : bad("HEADER", header, "must hold as many names as there are FILEs");
}

int fj_arguments(int count, char **word, struct fj_arguments *asked) {
    *asked = (struct fj_arguments){.period_ns = 100000000, .deadline_ns = INT64_MAX, .most_bytes = 60 << 20};
    int at = 1;
    for (; at < count && strncmp(word[at], "--", 2) == 0; at += 2) {
        if (strcmp(word[at], "--version") == 0) {
            printf("fedjoule-sampler 1 %s\n", FJ_BUILD_ID);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        if (strcmp(word[at], "--help") == 0) {
            fputs(USAGE, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        if (at + 1 == count) {
            return bad("the option", word[at], "must have a value");
        }
        int code = option(word[at], word[at + 1], asked);
        if (code >= 0) {
            return code;
        }
    }
    if (count - at < 3) {
        return bad("SAMPLES, HEADER and one FILE", at < count ? word[at] : "", "must be given");
    }
    asked->samples = word[at];
    asked->header = word[at + 1];
    asked->files = count - at - 2;
    asked->file = word + at + 2;
    if (asked->samples[0] == '\0' || strlen(asked->samples) > FJ_MOST_PATH) {
        return bad("SAMPLES", asked->samples, "must be a path of 1 to 4000 characters");
    }
    if (asked->files > FJ_MOST_FILES) {
        return bad("FILE", asked->file[FJ_MOST_FILES], "must be given at most 99 times");
    }
    for (int i = 0; i < asked->files; i++) {
        if (asked->file[i][0] == '\0' || strlen(asked->file[i]) > FJ_MOST_PATH) {
            return bad("FILE", asked->file[i], "must be a path of 1 to 4000 characters");
        }
    }
    return check_header(asked->header, asked->files);
}

void fj_column(const char *header, int number, char *name) {
    while (number-- > 0) {
        header += name_length(header) + 1;
    }
    size_t length = name_length(header);
    memcpy(name, header, length);
    name[length] = '\0';
}
