/* Batches that overlap: a thread samples and quantizes, one copies, and the calling one trains. */
#include <pthread.h>

#include "batch.h"
#include "mailbox.h"

typedef struct {
    fj_work *work;
    int64_t batches; /* 0: without end */
    fj_mailbox host, device;
} Pipeline;

static void aside(const Pipeline *pipeline) {
    const fj_arguments *arguments = pipeline->work->arguments;
    fj_cores_pin_aside(&arguments->cores, (int)arguments->threads);
}

static void *sample(void *argument) {
    Pipeline *pipeline = argument;
    const fj_work *work = pipeline->work;
    uint64_t first = work->number; /* read before the first batch is handed on: later it is the trainer's */
    int slot;
    aside(pipeline);
    for (int64_t i = 0; i < pipeline->batches || pipeline->batches == 0; i++) {
        if ((slot = fj_mailbox_to_fill(&pipeline->host)) < 0) return NULL;
        fj_slot *host = &pipeline->work->host[slot];
        host->times.t0_ns = fj_now_ns();
        fj_batch_sample(work, host, first + (uint64_t)i);
        int64_t sampled_ns = fj_now_ns();
        host->times.parts_ns[FJ_SAMPLE] = sampled_ns - host->times.t0_ns;
        host->times.parts_ns[FJ_QUANTIZE] = -1;
        if (work->arguments->precision == FJ_INT8) {
            fj_batch_quantize(work, host);
            host->times.parts_ns[FJ_QUANTIZE] = fj_now_ns() - sampled_ns;
        }
        fj_mailbox_filled(&pipeline->host);
    }
    return NULL;
}

static void *transfer(void *argument) {
    Pipeline *pipeline = argument;
    fj_work *work = pipeline->work;
    int from, to;
    aside(pipeline);
    while ((from = fj_mailbox_to_empty(&pipeline->host)) >= 0 && (to = fj_mailbox_to_fill(&pipeline->device)) >= 0) {
        int64_t start_ns = fj_now_ns();
        fj_batch_transfer(work, &work->host[from], &work->device[to]);
        work->device[to].times.parts_ns[FJ_TRANSFER] = fj_now_ns() - start_ns;
        fj_mailbox_emptied(&pipeline->host);
        fj_mailbox_filled(&pipeline->device);
    }
    return NULL;
}

static void train(Pipeline *pipeline, int64_t until_ns) {
    fj_work *work = pipeline->work;
    int slot, last = 0;
    while (!last && (slot = fj_mailbox_to_empty(&pipeline->device)) >= 0) {
        fj_batch_begin(work, work->number);
        int64_t start_ns = fj_now_ns();
        fj_batch_train(work, &work->device[slot], work->number);
        fj_times times = work->device[slot].times;
        times.t1_ns = fj_now_ns();
        times.parts_ns[FJ_TRAIN] = times.t1_ns - start_ns;
        fj_mailbox_emptied(&pipeline->device);
        work->number++;
        last = fj_batch_was_last(work, &times, 1, pipeline->batches, until_ns);
    }
}

/* A phase begins and ends with an empty pipeline: what is on its way when it ends is dropped, and drawn again. */
int fj_run_overlapped(fj_work *work, int64_t batches, double seconds) {
    Pipeline pipeline = {.work = work, .batches = batches};
    int64_t until_ns = fj_now_ns() + (int64_t)(seconds * 1e9);
    pthread_t sampler, link;
    fj_mailbox_open(&pipeline.host, FJ_SLOTS);
    fj_mailbox_open(&pipeline.device, FJ_SLOTS);
    int missing = pthread_create(&link, NULL, transfer, &pipeline) != 0, alone = missing;
    if (!missing && pthread_create(&sampler, NULL, sample, &pipeline) != 0) missing = 1;
    if (!missing) train(&pipeline, until_ns);
    fj_mailbox_close(&pipeline.host);
    fj_mailbox_close(&pipeline.device);
    if (!missing) pthread_join(sampler, NULL);
    if (!alone) pthread_join(link, NULL);
    fj_mailbox_free(&pipeline.host);
    fj_mailbox_free(&pipeline.device);
    return missing ? -1 : 0;
}
