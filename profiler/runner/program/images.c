#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernels/rounding.h"
#include "complaint.h"

#define FIRST_LINE "fedjoule-images 1 "
#define LONGEST_LINE 100
/* Streams of random numbers of our own, beside those of the kernels. */
#define OF_NOISE ((fj_purpose)5)
#define OF_PATTERN ((fj_purpose)6)
#define OF_LABELS ((fj_purpose)7)

uint64_t fj_fnv(uint64_t sum, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) sum = (sum ^ at[i]) * 0x100000001b3ull;
    return sum;
}

static int make(fj_images *images, const fj_model *model, int64_t count) {
    images->count = count;
    images->size = (size_t)model->h * (size_t)model->w * (size_t)model->c;
    images->pixels = malloc((size_t)count * images->size);
    images->labels = malloc((size_t)count * sizeof *images->labels);
    if (images->pixels && images->labels) return 0;
    return fj_complain(FJ_EXIT_MEMORY, "memory: %" PRId64 " images of %zu bytes could not be had", count, images->size);
}

/* Mean and deviation in whole 256ths of a pixel, so that they are the same on every machine. */
static void standardise(fj_images *images) {
    uint64_t count[256] = {0}, total = (uint64_t)images->count * images->size, sum = 0, squares = 0;
    for (uint64_t i = 0; i < total; i++) count[images->pixels[i]]++;
    for (uint64_t v = 0; v < 256; v++) sum += 256 * v * count[v];
    uint64_t mean = (sum + total / 2) / total;
    for (uint64_t v = 0; v < 256; v++) {
        uint64_t off = 256 * v > mean ? 256 * v - mean : mean - 256 * v;
        squares += off * off * count[v];
    }
    double deviation = sqrt((double)(squares / total)) / 256.0;
    images->mean = (float)((double)mean / 256.0);
    images->scale = deviation > 0.0 ? (float)(1.0 / deviation) : 1.0f;
}

static void finish(fj_images *images) {
    standardise(images);
    images->checksum = fj_fnv(FJ_FNV_START, images->pixels, (size_t)images->count * images->size);
    for (int64_t i = 0; i < images->count; i++) {
        uint8_t bytes[2] = {(uint8_t)images->labels[i], (uint8_t)(images->labels[i] >> 8)};
        images->checksum = fj_fnv(images->checksum, bytes, sizeof bytes);
    }
}

int fj_images_generate(fj_images *images, const fj_model *model, int64_t count) {
    uint32_t of_labels = fj_random_key(0, 0, 0, OF_LABELS);
    int code = make(images, model, count);
    if (code) return code;
    for (int64_t i = 0; i < count; i++) {
        uint32_t drawn = fj_random(of_labels, (uint32_t)i);
        uint16_t label = (uint16_t)((uint64_t)drawn * (uint64_t)model->classes >> 32);
        uint32_t noise = fj_random_key(0, (uint64_t)i, 0, OF_NOISE), pattern = fj_random_key(0, label, 0, OF_PATTERN);
        uint8_t *pixel = images->pixels + (size_t)i * images->size;
        images->labels[i] = label;
        for (size_t j = 0; j < images->size; j++) {
            unsigned shift = 8 * (j % 4);
            uint32_t shape = fj_random(pattern, (uint32_t)(j / 4)) >> shift & 255;
            uint32_t grain = fj_random(noise, (uint32_t)(j / 4)) >> shift & 255;
            pixel[j] = (uint8_t)((3 * shape + grain) / 4);
        }
    }
    finish(images);
    return 0;
}

/* Reads all `count` bytes from `offset` on; 0 if the file has less. */
static int read_all(int file, void *bytes, size_t count, off_t offset) {
    char *at = bytes;
    while (count > 0) {
        ssize_t got = pread(file, at, count, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        at += got, count -= (size_t)got, offset += got;
    }
    return 1;
}

typedef struct {
    int64_t h, w, c, count, classes;
    off_t length; /* of the first line */
} Header;

static int number(const char **at, char after, int64_t *value) {
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 10 || (*at)[digits] != after) return 0;
    *value = strtoll(*at, NULL, 10);
    *at += digits + 1;
    return 1;
}

/* "fedjoule-images 1 HEIGHT WIDTH CHANNELS COUNT CLASSES" and a line end. */
static int read_header(int file, int64_t bytes, Header *header) {
    char text[LONGEST_LINE + 1];
    size_t length = bytes < LONGEST_LINE ? (size_t)bytes : LONGEST_LINE, start = strlen(FIRST_LINE);
    if (!read_all(file, text, length, 0)) return 0;
    text[length] = '\0';
    const char *at = text + start;
    if (strncmp(text, FIRST_LINE, start) != 0 || !number(&at, ' ', &header->h) || !number(&at, ' ', &header->w) ||
        !number(&at, ' ', &header->c) || !number(&at, ' ', &header->count) || !number(&at, '\n', &header->classes))
        return 0;
    header->length = at - text;
    return 1;
}

static int check_header(const Header *header, const fj_model *model, const char *path, int64_t bytes) {
    if (header->h != model->h || header->w != model->w || header->c != model->c)
        return fj_complain(FJ_EXIT_INPUT,
                           "--data: images must be %dx%dx%d as the model takes (got %" PRId64 "x%" PRId64 "x%" PRId64
                           " in '%.200s')",
                           model->h, model->w, model->c, header->h, header->w, header->c, path);
    if (header->classes != model->classes)
        return fj_complain(FJ_EXIT_INPUT,
                           "--data: classes must be %d as the model's outputs (got %" PRId64 " in '%.200s')",
                           model->classes, header->classes, path);
    int64_t each = header->h * header->w * header->c;
    if (header->count < 1 || header->count > FJ_MOST_IMAGE_BYTES / each)
        return fj_complain(FJ_EXIT_INPUT, "--data: images must be from 1 to %" PRId64 " (got %" PRId64 " in '%.200s')",
                           FJ_MOST_IMAGE_BYTES / each, header->count, path);
    int64_t wanted = header->length + header->count * (each + 2);
    if (bytes != wanted)
        return fj_complain(FJ_EXIT_INPUT,
                           "--data: a file with %" PRId64 " images must have %" PRId64 " bytes (got %" PRId64
                           " in '%.200s')",
                           header->count, wanted, bytes, path);
    return 0;
}

static int read_labels(fj_images *images, const fj_model *model, const char *path) {
    for (int64_t i = 0; i < images->count; i++) {
        const uint8_t *bytes = (const uint8_t *)&images->labels[i];
        uint16_t label = (uint16_t)(bytes[0] | bytes[1] << 8);
        if (label >= model->classes)
            return fj_complain(FJ_EXIT_INPUT,
                               "--data: labels must be from 0 to %d (got %d of image %" PRId64 " in '%.200s')",
                               model->classes - 1, label, i, path);
        images->labels[i] = label;
    }
    return 0;
}

static int read_file(fj_images *images, const fj_model *model, const char *path, int file) {
    struct stat about;
    Header header;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
        return fj_complain(FJ_EXIT_INPUT, "--data: must be a regular file (got '%.200s')", path);
    if (!read_header(file, about.st_size, &header))
        return fj_complain(FJ_EXIT_INPUT,
                           "--data: must begin with a line '" FIRST_LINE "HEIGHT WIDTH CHANNELS COUNT CLASSES' "
                           "(got another in '%.200s')",
                           path);
    int code = check_header(&header, model, path, about.st_size);
    if (!code) code = make(images, model, header.count);
    if (code) return code;
    size_t pixels = (size_t)images->count * images->size;
    if (!read_all(file, images->pixels, pixels, header.length) ||
        !read_all(file, images->labels, 2 * (size_t)images->count, header.length + (off_t)pixels))
        return fj_complain(FJ_EXIT_INPUT, "--data: could not be read to its end (got '%.200s')", path);
    return read_labels(images, model, path);
}

int fj_images_read(fj_images *images, const fj_model *model, const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us */
    if (file < 0) return fj_complain(FJ_EXIT_INPUT, "--data: '%.200s' cannot be opened: %s", path, strerror(errno));
    int code = read_file(images, model, path, file);
    close(file);
    if (!code) finish(images);
    return code;
}

void fj_images_free(fj_images *images) {
    free(images->pixels);
    free(images->labels);
}
