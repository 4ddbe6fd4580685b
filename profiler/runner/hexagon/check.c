/* Runs one kernel, or a step of a network, on what comes in, so that it can be compared with other programs.
 *
 *   check forward|error|gradient hvx|scalar BATCH H W C O KERNEL PAD     int8 image or errors (both for the gradient:
 *                                                                        image, errors), int8 weights -> int32
 *   check requantize hvx|scalar ROWS CHANNELS                            int32 -> int8, without padding
 *   check update hvx|scalar ROWS WIDTH MU                                int32 gradient, int8 weights -> int8 weights
 *   check loss BATCH CLASSES EXPONENT                                    int8 logits, int32 labels -> int8
 *   check network hvx|scalar MODEL CLASSES BATCH EXPONENT MU_CONV MU_FC
 *       int8 input, int32 labels, and of each layer int32 exponent, int8 weights
 *       -> int8 logits, int8 loss gradient, and of each layer int32 gradient, int8 weights
 *
 * Binary on standard input and output, images NHWC and with their padding, weights O, ky, kx, C; channels are not
 * padded. Counts and shifts are JSON lines on standard error. Exit code 2 for arguments or input that will not do.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"

static void refuse(const char *what, ...) {
    va_list values;
    va_start(values, what);
    vfprintf(stderr, what, values);
    va_end(values);
    fputc('\n', stderr);
    exit(2);
}

static int number(const char *name, const char *text, int least, int most) {
    char *end;
    const long value = strtol(text, &end, 10);
    if (*text == 0 || *end || value < least || value > most)
        refuse("%s must be a whole number from %d to %d (got %.20s)", name, least, most, text);
    return (int)value;
}

static void *room(size_t bytes) {
    const size_t whole = (bytes + FJ_DSP_SLACK + 127) / 128 * 128;
    void *made = aligned_alloc(128, whole);
    if (!made) refuse("no memory for %zu bytes; choose smaller sizes", whole);
    /* Not zeros: what lies past the end must not matter. */
    memset(made, 0x5b, whole);
    return made;
}

static void take(void *to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) != bytes) refuse("the input ends before %zu bytes of a tensor", bytes);
}

static void give(const void *from, size_t bytes) {
    if (fwrite(from, 1, bytes, stdout) != bytes) exit(1);
}

/* Rows of `width` from the input, each followed by zeros up to a multiple of 4. */
static int8_t *take_rows(size_t rows, int width) {
    const size_t stride = (size_t)fj_dsp_up(width, 4);
    int8_t *made = room(rows * stride);
    memset(made, 0, rows * stride);
    for (size_t r = 0; r < rows; r++) take(made + r * stride, (size_t)width);
    return made;
}

static void give_words(const int32_t *from, size_t rows, int width, int stride) {
    for (size_t r = 0; r < rows; r++) give(from + r * (size_t)stride, 4 * (size_t)width);
}

static void say(const fj_counts *counts) {
    fprintf(stderr, "{\"packets\": %llu, \"instructions\": %llu, \"hvx_instructions\": %llu}",
            (unsigned long long)counts->packets, (unsigned long long)counts->instructions,
            (unsigned long long)counts->hvx_instructions);
}

static void convolution(const char *what, const fj_dsp_kernels *kernels, char **argv) {
    fj_dsp_shape s = {number("BATCH", argv[0], 1, 4096), number("H", argv[1], 1, 4096), number("W", argv[2], 1, 4096),
                      number("C", argv[3], 1, 65536), number("O", argv[4], 1, 65536),
                      number("KERNEL", argv[5], 1, 31), 0};
    s.pad = number("PAD", argv[6], 0, s.kernel - 1);
    if (fj_dsp_out_h(&s) < 1 || fj_dsp_out_w(&s) < 1) refuse("KERNEL must fit the padded image (got %d)", s.kernel);
    const int gradient = !strcmp(what, "gradient"), back = !strcmp(what, "error"), row = fj_dsp_row(&s);
    const fj_dsp_shape of = back ? fj_dsp_mirrored(&s) : s;
    const size_t pixels = (size_t)of.batch * (size_t)(of.h + 2 * of.pad) * (size_t)(of.w + 2 * of.pad);
    const size_t rows = gradient ? (size_t)(s.o * s.kernel) : (size_t)fj_dsp_positions(&of);
    const int stride = gradient ? fj_dsp_up(row, 32) : fj_dsp_up(of.o, 32);
    int8_t *image = take_rows(pixels, of.c);
    int8_t *other = gradient ? take_rows((size_t)fj_dsp_positions(&s), s.o)
                             : take_rows((size_t)(s.o * s.kernel * s.kernel), s.c);
    int32_t *out = room(4 * rows * (size_t)stride);
    void *scratch = room(fj_dsp_scratch(&s));
    fj_counts counts = {0, 0, 0};
    const fj_reading begin = fj_read_counters();
    (gradient ? kernels->gradient : back ? kernels->error : kernels->forward)(&s, image, other, out, scratch);
    fj_count_since(begin, &counts);
    if (gradient) {
        const int c = fj_dsp_up(s.c, 4);
        for (size_t r = 0; r < rows; r++) give_words(out + r * (size_t)stride, (size_t)s.kernel, s.c, c);
        for (size_t r = 0; r < rows; r++)
            for (int i = row; i < stride; i++)
                if (out[r * (size_t)stride + (size_t)i]) refuse("the padding of the gradient is not zero");
    } else {
        give_words(out, rows, of.o, stride);
        for (size_t r = 0; r < rows; r++)
            for (int i = of.o; i < stride; i++)
                if (out[r * (size_t)stride + (size_t)i]) refuse("the padding of the sums is not zero");
    }
    say(&counts);
    fputc('\n', stderr);
}

static void requantize(const fj_dsp_kernels *kernels, char **argv) {
    const int rows = number("ROWS", argv[0], 1, 1 << 20), channels = number("CHANNELS", argv[1], 1, 65536);
    const int stride = fj_dsp_up(channels, 32);
    int32_t *x = room(4 * (size_t)rows * (size_t)stride);
    int8_t *out = room((size_t)rows * (size_t)stride);
    memset(x, 0, 4 * (size_t)rows * (size_t)stride);
    for (int r = 0; r < rows; r++) take(x + (size_t)r * (size_t)stride, 4 * (size_t)channels);
    fj_counts counts = {0, 0, 0};
    const fj_reading begin = fj_read_counters();
    const int shift = fj_requant_shift(kernels->largest(x, (size_t)rows * (size_t)stride));
    kernels->requantize(x, rows, channels, shift, out);
    fj_count_since(begin, &counts);
    for (int r = 0; r < rows; r++) give(out + (size_t)r * (size_t)fj_dsp_up(channels, 4), (size_t)channels);
    say(&counts);
    fputc('\n', stderr);
}

static void update(const fj_dsp_kernels *kernels, char **argv) {
    const int rows = number("ROWS", argv[0], 1, 1 << 20), width = number("WIDTH", argv[1], 1, 65536);
    const int mu = number("MU", argv[2], -64, 64), stride = fj_dsp_up(width, 32);
    int32_t *g = room(4 * (size_t)rows * (size_t)stride);
    memset(g, 0, 4 * (size_t)rows * (size_t)stride);
    for (int r = 0; r < rows; r++) take(g + (size_t)r * (size_t)stride, 4 * (size_t)width);
    int8_t *weights = room((size_t)rows * (size_t)width);
    take(weights, (size_t)rows * (size_t)width);
    fj_counts counts = {0, 0, 0};
    const fj_reading begin = fj_read_counters();
    const int shift = fj_dsp_update_shift(kernels->largest(g, (size_t)rows * (size_t)stride), mu);
    kernels->update(g, rows, width, shift, weights);
    fj_count_since(begin, &counts);
    give(weights, (size_t)rows * (size_t)width);
    say(&counts);
    fputc('\n', stderr);
}

static void loss(char **argv) {
    const int batch = number("BATCH", argv[0], 1, 4096), classes = number("CLASSES", argv[1], 1, 65536);
    const int exponent = number("EXPONENT", argv[2], -64, 64);
    int8_t *logits = room((size_t)batch * (size_t)classes), *errors = room((size_t)batch * (size_t)classes);
    int32_t *labels = room(4 * (size_t)batch);
    take(logits, (size_t)batch * (size_t)classes), take(labels, 4 * (size_t)batch);
    fj_dsp_loss(logits, exponent, labels, batch, classes, classes, errors);
    give(errors, (size_t)batch * (size_t)classes);
}

static void report(const fj_dsp_network *network, int layer) {
    static const char *const names[] = {"forward", "error", "gradient", "requantize", "update", "move", "loss"};
    const fj_dsp_report report = fj_dsp_report_of(network, layer);
    fprintf(stderr, "{\"layer\": %d, \"exponent\": %d, \"shifts\": [%d, %d, %d]", layer, report.exponent,
            report.activation, report.error, report.update);
    for (int i = 0; i < FJ_OPERATIONS; i++) {
        fprintf(stderr, ", \"%s\": ", names[i]);
        say(&report.counts[i]);
    }
    fputs("}\n", stderr);
}

static void network(const fj_dsp_kernels *kernels, char **argv) {
    char error[256];
    fj_model model;
    const int batch = number("BATCH", argv[2], 1, 4096), exponent = number("EXPONENT", argv[3], -64, 64);
    if (fj_model_read(&model, argv[0], number("CLASSES", argv[1], 0, 65536), error, sizeof error)) refuse("%s", error);
    fj_dsp_network *made = fj_dsp_network_new(&model, batch, kernels);
    if (!made) refuse("BATCH: no memory for %d images; choose fewer", batch);
    const size_t pixels = (size_t)batch * (size_t)(model.h * model.w * model.c), classes = (size_t)model.classes;
    int8_t *input = room(pixels), *few = room((size_t)batch * classes);
    int32_t *labels = room(4 * (size_t)batch);
    take(input, pixels), take(labels, 4 * (size_t)batch);
    for (int n = 0; n < batch; n++)
        if (labels[n] < 0 || labels[n] >= model.classes) refuse("labels must be from 0 to %d", model.classes - 1);
    for (int i = 0; i < model.layers; i++) {
        int32_t of_weights;
        take(&of_weights, 4);
        int8_t *weights = room(model.layer[i].weights);
        take(weights, model.layer[i].weights);
        fj_dsp_set_weights(made, i, weights, of_weights);
        free(weights);
    }
    fj_dsp_train(made, input, exponent, labels, number("MU_CONV", argv[4], -64, 64), number("MU_FC", argv[5], -64, 64));
    fj_dsp_get_logits(made, few), give(few, (size_t)batch * classes);
    fj_dsp_get_loss_gradient(made, few), give(few, (size_t)batch * classes);
    for (int i = 0; i < model.layers; i++) {
        int32_t *all = room(4 * model.layer[i].weights);
        fj_dsp_get_gradient(made, i, all), give(all, 4 * model.layer[i].weights);
        fj_dsp_get_weights(made, i, (int8_t *)all), give(all, model.layer[i].weights);
        free(all);
        report(made, i);
    }
    fj_dsp_network_free(made);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int arguments;
    } commands[] = {{"forward", 8}, {"error", 8}, {"gradient", 8}, {"requantize", 3},
                    {"update", 4},  {"loss", 3},  {"network", 7}};
    int which = 0;
    while (which < 7 && (argc < 2 || strcmp(argv[1], commands[which].name) != 0)) which++;
    if (which == 7 || argc != 2 + commands[which].arguments) refuse("check KERNEL ...; see the head of check.c");
    if (which == 5) {
        loss(argv + 2);
    } else {
        const int hvx = !strcmp(argv[2], "hvx");
        if (!hvx && strcmp(argv[2], "scalar") != 0)
            refuse("the second word must be hvx or scalar (got %.20s)", argv[2]);
        const fj_dsp_kernels *kernels = hvx ? &fj_dsp_hvx : &fj_dsp_scalar;
        if (which < 3) convolution(argv[1], kernels, argv + 3);
        if (which == 3) requantize(kernels, argv + 3);
        if (which == 4) update(kernels, argv + 3);
        if (which == 6) network(kernels, argv + 3);
    }
    return fflush(stdout) ? 1 : 0;
}
