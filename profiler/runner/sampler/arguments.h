// What the sampler is asked to do: its command line, checked.
#ifndef FJ_SAMPLER_ARGUMENTS_H
#define FJ_SAMPLER_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

enum { FJ_MOST_FILES = 99, FJ_MOST_PATH = 4000, FJ_MOST_NAME = 64 };

struct fj_arguments {
    int64_t period_ns;
    int64_t deadline_ns; // of CLOCK_BOOTTIME; INT64_MAX for none
    int64_t most_bytes;
    uint64_t cpus; // a mask, 0 for any
    bool reopen;
    const char *uptime; // NULL where the clock needs no comparison
    const char *samples;
    const char *header;
    int files;
    char **file;
};

// Returns -1 if the arguments are good, else the exit code; what is wrong, or what was asked for, is then printed.
int fj_arguments(int count, char **word, struct fj_arguments *asked);

// Copies the name of column `number` (from 0) of the header into `name`, which holds FJ_MOST_NAME + 1 characters.
void fj_column(const char *header, int number, char *name);

#endif
