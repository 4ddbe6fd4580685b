#include "model.h"

#include <stdio.h>
#include <string.h>

#define LARGEST_SIDE 4096
/* So that an int holds a layer's inputs, and a size_t its bytes. */
#define MOST_WEIGHTS_LOG2 (sizeof(size_t) > 4 ? 30 : 26)
#define MOST_CLASSES 65536

typedef struct {
    const char *at;
    char *error;
    size_t error_bytes;
} Reader;

static const struct {
    const char *name, *text;
    int classes;
} named[] = {
    {"lenet5", "28x28x1:conv20k5,pool,conv50k5,pool,fc500", 62},
    {"vgg11",
     "32x32x3:conv64k3p1,pool,conv128k3p1,pool,conv256k3p1,conv256k3p1,pool,conv512k3p1,conv512k3p1,pool,"
     "conv512k3p1,conv512k3p1,pool",
     10},
    {"vgg16",
     "32x32x3:conv64k3p1,conv64k3p1,pool,conv128k3p1,conv128k3p1,pool,conv256k3p1,conv256k3p1,conv256k3p1,pool,"
     "conv512k3p1,conv512k3p1,conv512k3p1,pool,conv512k3p1,conv512k3p1,conv512k3p1,pool",
     10},
};

static int fail(Reader *reader, const char *what) {
    snprintf(reader->error, reader->error_bytes, "model: %s at '%.40s'; write it as 28x28x1:conv20k5,pool,fc500,fc62",
             what, reader->at);
    return -1;
}

static int take(Reader *reader, const char *word) {
    size_t length = strlen(word);
    if (strncmp(reader->at, word, length) != 0) return 0;
    reader->at += length;
    return 1;
}

/* Lists and file names bear neither commas nor colons: 28x28x1-conv20k5-pool-fc62 is the same. */
static int separator(Reader *reader, const char *mark) {
    return take(reader, mark) || take(reader, "-");
}

/* A whole number from 1 (or 0) to `most`; -1 if there is none. */
static int number(Reader *reader, int least, int most) {
    int value = 0, digits = 0;
    while (*reader->at >= '0' && *reader->at <= '9' && digits < 7) {
        value = 10 * value + (*reader->at++ - '0');
        digits++;
    }
    if (digits == 0 || value < least || value > most || (*reader->at >= '0' && *reader->at <= '9')) return -1;
    return value;
}

typedef struct {
    int h, w, c;
} Shape;

static int add(fj_model *model, Reader *reader, Shape *shape, int kind, int out_c, int kernel, int pad) {
    if (model->layers == FJ_MOST_LAYERS) return fail(reader, "more than 64 layers");
    if (kind == FJ_CONV && model->layers && model->layer[model->layers - 1].kind == FJ_FC)
        return fail(reader, "a convolution after a fully connected layer");
    fj_layer *layer = &model->layer[model->layers++];
    *layer = (fj_layer){.kind = kind, .in_h = shape->h, .in_w = shape->w, .in_c = shape->c, .out_c = out_c,
                        .kernel = kernel, .pad = pad, .relu = 1};
    uint64_t weights;
    if (kind == FJ_FC) {
        weights = (uint64_t)out_c * (uint64_t)shape->h * (uint64_t)shape->w * (uint64_t)shape->c;
        *shape = (Shape){1, 1, out_c};
    } else {
        weights = (uint64_t)out_c * (uint64_t)kernel * (uint64_t)kernel * (uint64_t)shape->c;
        *shape = (Shape){fj_conv_h(layer), fj_conv_w(layer), out_c};
        if (shape->h < 1 || shape->w < 1) return fail(reader, "the kernel is larger than what is left of the image");
    }
    if (weights > (uint64_t)1 << MOST_WEIGHTS_LOG2) return fail(reader, "a layer has more weights than fit here");
    layer->weights = (size_t)weights;
    layer->out_h = shape->h, layer->out_w = shape->w;
    return 0;
}

static int read_layer(fj_model *model, Reader *reader, Shape *shape) {
    if (take(reader, "pool")) {
        fj_layer *last = model->layers ? &model->layer[model->layers - 1] : NULL;
        if (!last || last->kind != FJ_CONV || last->pool) return fail(reader, "a pool that follows no convolution");
        if (shape->h < 2 || shape->w < 2) return fail(reader, "a pool of less than 2x2");
        last->pool = 1, last->out_h = shape->h /= 2, last->out_w = shape->w /= 2;
        return 0;
    }
    if (take(reader, "conv")) {
        int channels = number(reader, 1, MOST_CLASSES), kernel, pad = 0;
        if (channels < 0 || !take(reader, "k")) return fail(reader, "a convolution needs channels and kernel");
        kernel = number(reader, 1, 31);
        if (kernel < 0) return fail(reader, "a kernel must be from 1 to 31");
        if (take(reader, "p") && ((pad = number(reader, 0, 30)) < 0 || pad >= kernel))
            return fail(reader, "a padding must be from 0 to the kernel less 1");
        return add(model, reader, shape, FJ_CONV, channels, kernel, pad);
    }
    if (take(reader, "fc")) {
        int outputs = number(reader, 1, MOST_CLASSES);
        if (outputs < 0) return fail(reader, "outputs of a fully connected layer must be from 1 to 65536");
        return add(model, reader, shape, FJ_FC, outputs, 1, 0);
    }
    return fail(reader, "no layer is known by this name (conv, pool, fc)");
}

static int read_layers(fj_model *model, Reader *reader) {
    Shape shape;
    memset(model, 0, sizeof *model);
    shape.h = number(reader, 1, LARGEST_SIDE);
    if (shape.h < 0 || !take(reader, "x")) return fail(reader, "no height of the input");
    shape.w = number(reader, 1, LARGEST_SIDE);
    if (shape.w < 0 || !take(reader, "x")) return fail(reader, "no width of the input");
    shape.c = number(reader, 1, LARGEST_SIDE);
    if (shape.c < 0 || !separator(reader, ":")) return fail(reader, "no channels of the input");
    model->h = shape.h, model->w = shape.w, model->c = shape.c;
    do {
        if (read_layer(model, reader, &shape)) return -1;
    } while (separator(reader, ","));
    return *reader->at ? fail(reader, "a comma is missing") : 0;
}

int fj_model_read(fj_model *model, const char *text, int classes, char *error, size_t error_bytes) {
    char whole[512];
    if (classes < 0 || classes > MOST_CLASSES) {
        snprintf(error, error_bytes, "classes must be from 1 to 65536 (got %d)", classes);
        return -1;
    }
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (strcmp(text, named[i].name) != 0) continue;
        snprintf(whole, sizeof whole, "%s,fc%d", named[i].text, classes ? classes : named[i].classes);
        text = whole, classes = 0;
        break;
    }
    Reader reader = {text, error, error_bytes};
    if (read_layers(model, &reader)) return -1;
    fj_layer *last = &model->layer[model->layers - 1];
    if (last->kind != FJ_FC) return fail(&reader, "the last layer must be fully connected");
    if (classes && classes != last->out_c) {
        snprintf(error, error_bytes, "classes: the model ends in %d outputs, not %d; leave one of them out",
                 last->out_c, classes);
        return -1;
    }
    last->relu = 0;
    model->classes = last->out_c;
    return 0;
}
