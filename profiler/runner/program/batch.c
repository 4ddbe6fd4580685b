#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "../kernels/memory.h"
#include "../kernels/rounding.h"

#define OF_DRAWS ((fj_purpose)0) /* a stream of random numbers that no rounding uses */

static size_t values_of(const fj_work *work) {
    return (size_t)work->arguments->batch_size * work->images.size;
}

int fj_slots_new(fj_work *work) {
    size_t values = values_of(work);
    int int8 = work->arguments->precision == FJ_INT8, missing = 0;
    for (int i = 0; i < 2 * FJ_SLOTS; i++) {
        fj_slot *slot = i < FJ_SLOTS ? &work->host[i] : &work->device[i - FJ_SLOTS];
        if (!int8 || i < FJ_SLOTS) missing |= !(slot->values = fj_zeroed(values * sizeof *slot->values));
        if (int8) missing |= !(slot->mantissas = fj_zeroed(values));
        missing |= !(slot->labels = fj_zeroed((size_t)work->arguments->batch_size * sizeof *slot->labels));
    }
    return missing ? -1 : 0;
}

void fj_slots_free(fj_work *work) {
    for (int i = 0; i < 2 * FJ_SLOTS; i++) {
        fj_slot *slot = i < FJ_SLOTS ? &work->host[i] : &work->device[i - FJ_SLOTS];
        free(slot->values);
        free(slot->mantissas);
        free(slot->labels);
    }
}

void fj_batch_sample(const fj_work *work, fj_slot *slot, uint64_t number) {
    const fj_images *images = &work->images;
    uint32_t key = fj_random_key((uint64_t)work->arguments->seed, number, 0, OF_DRAWS);
    float mean = images->mean, scale = images->scale;
    for (int64_t i = 0; i < work->arguments->batch_size; i++) {
        size_t drawn = (size_t)((uint64_t)fj_random(key, (uint32_t)i) * (uint64_t)images->count >> 32);
        const uint8_t *restrict pixels = images->pixels + drawn * images->size;
        float *restrict values = slot->values + (size_t)i * images->size;
        slot->labels[i] = images->labels[drawn];
        /* A difference and a product, each rounded: no machine can fuse them, so all get the same floats. */
        for (size_t j = 0; j < images->size; j++) values[j] = ((float)pixels[j] - mean) * scale;
    }
}

void fj_batch_quantize(const fj_work *work, fj_slot *slot) {
    slot->exponent = fj_quantize(slot->values, values_of(work), slot->mantissas, (fj_path)work->arguments->path);
}

void fj_batch_transfer(const fj_work *work, const fj_slot *from, fj_slot *to) {
    size_t values = values_of(work);
    if (work->arguments->precision == FJ_INT8) memcpy(to->mantissas, from->mantissas, values);
    else memcpy(to->values, from->values, values * sizeof *to->values);
    memcpy(to->labels, from->labels, (size_t)work->arguments->batch_size * sizeof *to->labels);
    to->exponent = from->exponent;
    to->times = from->times;
}

void fj_batch_begin(const fj_work *work, uint64_t number) {
    if (work->network && work->round && number && number % work->round == 0) fj_recall_weights(work->network);
}

void fj_batch_train(fj_work *work, const fj_slot *slot, uint64_t number) {
    int batch = (int)work->arguments->batch_size;
    fj_step *step = &work->step;
    float *loss = &work->last_loss;
    step->step = number;
    if (work->arguments->precision == FJ_INT8)
        fj_train_int8(work->network, slot->mantissas, slot->exponent, slot->labels, batch, step, loss);
    else
        fj_train_fp32(work->network, slot->values, slot->labels, batch, step, loss);
    if (number == 0) work->first_loss = work->last_loss;
}

uint64_t fj_slot_checksum(const fj_work *work, const fj_slot *slot) {
    size_t values = values_of(work);
    uint64_t sum = FJ_FNV_START;
    int sampled = work->arguments->precision == FJ_FP32 || work->arguments->stage == FJ_SAMPLE;
    for (int64_t i = 0; i < work->arguments->batch_size; i++) sum = fj_fnv(sum, &slot->labels[i], sizeof *slot->labels);
    if (sampled) return fj_fnv(sum, slot->values, values * sizeof *slot->values);
    sum = fj_fnv(sum, &slot->exponent, sizeof slot->exponent);
    return fj_fnv(sum, slot->mantissas, values);
}

int fj_batch_was_last(fj_work *work, const fj_times *times, int64_t count, int64_t batches, int64_t until_ns) {
    fj_log_batches(work->log, times, count);
    return work->log->batches == batches || (batches == 0 && times->t1_ns >= until_ns) || fj_watch_ending(work->watch);
}
