/* A batch on its way: drawn and standardised, quantized, copied to the training side, trained on. */
#ifndef FJ_BATCH_H
#define FJ_BATCH_H

#include "arguments.h"
#include "images.h"
#include "log.h"
#include "watch.h"

#define FJ_SLOTS 2 /* in front of each stage but the first */

/* Where a batch waits: before the transfer on the one side, and after it on the other. */
typedef struct {
    float *values;     /* standardised pixels */
    int8_t *mantissas; /* INT8: the same, quantized */
    int exponent;
    int32_t *labels;
    fj_times times;
} fj_slot;

/* All that a run works with. */
typedef struct {
    const fj_arguments *arguments;
    fj_model model;
    fj_images images;
    fj_network *network; /* NULL where nothing is trained */
    fj_step step;
    uint64_t round; /* batches after which training begins again from the first weights; 0: never */
    fj_slot host[FJ_SLOTS], device[FJ_SLOTS];
    uint64_t number; /* of the next batch, from 0 with the warm-up */
    float first_loss, last_loss;
    int64_t waited_ns; /* of the run; -1 where it is not known */
    fj_log *log;
    fj_watch *watch;
} fj_work;

/* Memory for what the stage needs. Returns 0, or -1 if it could not be had. */
int fj_slots_new(fj_work *work);
void fj_slots_free(fj_work *work);

/* Draws batch `number`, the same ones for the same seed, and standardises its images. */
void fj_batch_sample(const fj_work *work, fj_slot *slot, uint64_t number);
void fj_batch_quantize(const fj_work *work, fj_slot *slot);
void fj_batch_transfer(const fj_work *work, const fj_slot *from, fj_slot *to);
/* To be called before a batch is timed: where a round begins, so do the weights. A network that trained on would come to
 * know the few images here, and batches that teach nothing take less time than a client's. */
void fj_batch_begin(const fj_work *work, uint64_t number);
void fj_batch_train(fj_work *work, const fj_slot *slot, uint64_t number);

/* FNV-1a of what a stage alone made last. */
uint64_t fj_slot_checksum(const fj_work *work, const fj_slot *slot);

/* Run a phase: `batches` of them (0: until `seconds` have passed), fewer if the run is to end. Both do the same batches
 * in the same order. Return 0, or -1 if a thread could not be made. */
int fj_run_in_turn(fj_work *work, int64_t batches, double seconds);
int fj_run_overlapped(fj_work *work, int64_t batches, double seconds);

/* Notes `count` batches, and returns whether they were the phase's last. */
int fj_batch_was_last(fj_work *work, const fj_times *times, int64_t count, int64_t batches, int64_t until_ns);

#endif
