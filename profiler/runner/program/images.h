/* The resident images that batches are drawn from: bytes, labels, and how to standardise them. */
#ifndef FJ_IMAGES_H
#define FJ_IMAGES_H

#include <stdint.h>

#include "../kernels/model.h"

#define FJ_MOST_IMAGE_BYTES ((int64_t)1 << 30)

typedef struct {
    int64_t count;
    size_t size;     /* bytes of an image: h * w * c */
    uint8_t *pixels; /* count * size, NHWC */
    uint16_t *labels;
    float mean, scale; /* a pixel becomes (pixel - mean) * scale */
    uint64_t checksum; /* FNV-1a of pixels and labels */
} fj_images;

/* Both return 0, or the exit code once the reason is printed. Generated ones are the same on every machine: a pattern
 * for each class, and noise. */
int fj_images_generate(fj_images *images, const fj_model *model, int64_t count);
int fj_images_read(fj_images *images, const fj_model *model, const char *path);
void fj_images_free(fj_images *images);

uint64_t fj_fnv(uint64_t sum, const void *bytes, size_t count);
#define FJ_FNV_START 0xcbf29ce484222325ull

#endif
