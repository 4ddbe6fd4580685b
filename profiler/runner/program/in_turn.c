/* Batches one after another on the calling thread: whole ones, or a stage of them alone. */
#include <pthread.h>

#include "batch.h"
#include "mailbox.h"

static const fj_times no_parts = {0, 0, {-1, -1, -1, -1}};

static void whole(fj_work *work, fj_times *times) {
    int slot = (int)(work->number % FJ_SLOTS), int8 = work->arguments->precision == FJ_INT8;
    fj_batch_begin(work, work->number);
    times->t0_ns = fj_now_ns();
    fj_batch_sample(work, &work->host[slot], work->number);
    int64_t sampled_ns = fj_now_ns(), quantized_ns = sampled_ns;
    if (int8) {
        fj_batch_quantize(work, &work->host[slot]);
        quantized_ns = fj_now_ns();
        times->parts_ns[FJ_QUANTIZE] = quantized_ns - sampled_ns;
    }
    fj_batch_transfer(work, &work->host[slot], &work->device[slot]);
    int64_t transferred_ns = fj_now_ns();
    fj_batch_train(work, &work->device[slot], work->number);
    times->t1_ns = fj_now_ns();
    times->parts_ns[FJ_SAMPLE] = sampled_ns - times->t0_ns;
    times->parts_ns[FJ_TRANSFER] = transferred_ns - quantized_ns;
    times->parts_ns[FJ_TRAIN] = times->t1_ns - transferred_ns;
}

/* What comes before a stage is done once for both slots, outside of any time. */
static void prepare(fj_work *work) {
    for (int slot = 0; slot < FJ_SLOTS; slot++) {
        fj_batch_sample(work, &work->host[slot], (uint64_t)slot);
        if (work->arguments->precision == FJ_INT8) fj_batch_quantize(work, &work->host[slot]);
        fj_batch_transfer(work, &work->host[slot], &work->device[slot]);
    }
}

static void alone(fj_work *work, uint64_t number) {
    fj_slot *host = &work->host[number % FJ_SLOTS], *device = &work->device[number % FJ_SLOTS];
    switch (work->arguments->stage) {
    case FJ_SAMPLE: fj_batch_sample(work, host, number); break;
    case FJ_QUANTIZE: fj_batch_quantize(work, host); break;
    case FJ_TRANSFER: fj_batch_transfer(work, host, device); break;
    default: fj_batch_train(work, device, number);
    }
}

/* The training side of an empty call: takes what has no data, and gives it back. */
typedef struct {
    fj_mailbox there, back;
    const fj_work *work;
} Call;

static void *answer(void *argument) {
    Call *call = argument;
    fj_cores_pin(&call->work->arguments->cores, 0, call->work->arguments->cores.count > 0);
    while (fj_mailbox_to_empty(&call->there) >= 0 && fj_mailbox_to_fill(&call->back) >= 0) {
        fj_mailbox_emptied(&call->there);
        fj_mailbox_filled(&call->back);
    }
    return NULL;
}

static void empty_call(Call *call) {
    fj_mailbox_to_fill(&call->there);
    fj_mailbox_filled(&call->there);
    fj_mailbox_to_empty(&call->back);
    fj_mailbox_emptied(&call->back);
}

static int begin_calls(Call *call, pthread_t *thread) {
    fj_mailbox_open(&call->there, 1);
    fj_mailbox_open(&call->back, 1);
    if (pthread_create(thread, NULL, answer, call) != 0) return -1;
    fj_cores_pin_aside(&call->work->arguments->cores, 1);
    return 0;
}

static void end_calls(Call *call, pthread_t thread) {
    fj_mailbox_close(&call->there);
    fj_mailbox_close(&call->back);
    pthread_join(thread, NULL);
    fj_mailbox_free(&call->there);
    fj_mailbox_free(&call->back);
}

int fj_run_in_turn(fj_work *work, int64_t batches, double seconds) {
    int stage = work->arguments->stage, last = 0;
    int64_t until_ns = fj_now_ns() + (int64_t)(seconds * 1e9);
    Call call = {.work = work};
    pthread_t thread;
    if (stage == FJ_EMPTY && begin_calls(&call, &thread) != 0) return -1;
    if (stage != FJ_TOTAL && stage != FJ_EMPTY && work->number == 0) prepare(work);
    while (!last) {
        fj_times times = no_parts;
        int64_t count = 1, left = batches - work->log->batches;
        if (stage == FJ_TOTAL) {
            whole(work, &times);
        } else {
            count = batches && work->log->together > left ? left : work->log->together;
            int64_t in_round = work->round ? (int64_t)(work->round - work->number % work->round) : count;
            if (work->network && count > in_round) count = in_round;
            fj_batch_begin(work, work->number);
            times.t0_ns = fj_now_ns();
            for (int64_t i = 0; i < count; i++) {
                if (stage == FJ_EMPTY) empty_call(&call);
                else alone(work, work->number + (uint64_t)i);
            }
            times.t1_ns = fj_now_ns();
            if (stage < FJ_PARTS) times.parts_ns[stage] = times.t1_ns - times.t0_ns;
        }
        work->number += (uint64_t)count;
        last = fj_batch_was_last(work, &times, count, batches, until_ns);
    }
    if (stage == FJ_EMPTY) end_calls(&call, thread);
    return 0;
}
