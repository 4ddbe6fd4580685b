/* The command line of the runner. */
#ifndef FJ_ARGUMENTS_H
#define FJ_ARGUMENTS_H

#include <stdint.h>

#include "../kernels/fedjoule.h"
#include "cores.h"

/* The parts of a batch, and what else may be timed alone. */
typedef enum { FJ_SAMPLE, FJ_QUANTIZE, FJ_TRANSFER, FJ_TRAIN, FJ_PARTS, FJ_TOTAL = FJ_PARTS, FJ_EMPTY } fj_stage;

typedef enum { FJ_RUN, FJ_LIST_PATHS, FJ_VERSION, FJ_HELP } fj_action;

typedef struct {
    fj_action action;
    const char *model, *data;
    int64_t classes, batch_size, batches, warmup, threads, seed, samples; /* 0 where nothing was said */
    int64_t mu_conv, mu_fc, round_batches; /* -1: as many as a pass over the images has */
    double seconds, deadline_s, learning_rate; /* 0 where nothing was said */
    int precision, stage, overlap, path;
    int rounding[4]; /* of activations, errors, updates, loss */
    fj_cores cores;
} fj_arguments;

extern const char *const fj_stage_names[FJ_EMPTY + 1];
extern const char *const fj_precision_names[2];
extern const char *const fj_rounding_names[3];

/* Returns 0, or the exit code once the reason is printed. */
int fj_arguments_read(fj_arguments *arguments, int count, char **words);
void fj_arguments_help(void);

#endif
