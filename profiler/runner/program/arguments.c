#include "arguments.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complaint.h"

#define LONGEST_MODEL 1000

const char *const fj_stage_names[] = {"sample", "quantize", "transfer", "train", "total", "empty"};
const char *const fj_precision_names[] = {"fp32", "int8"};
const char *const fj_rounding_names[] = {"nearest", "pseudo-stochastic", "stochastic"};
static const char *const processor_names[] = {"cpu"};
static const char *const overlap_names[] = {"off", "on"};
static const char *const rounded[] = {"activation", "error", "update", "loss"};

typedef enum { TEXT, WHOLE, DECIMAL, CHOICE, PATH, CORES, ROUNDING, ACTION } Kind;

/* An option: where its value goes, and the least and the largest of a number (a decimal must be above the least) or the
 * number of choices. */
typedef struct {
    const char *name;
    Kind kind;
    size_t at;
    double least, most;
    const char *const *choices;
} Option;

#define AT(field) offsetof(fj_arguments, field)
static const Option options[] = {
    {"--model", TEXT, AT(model), 0, 0, NULL},
    {"--classes", WHOLE, AT(classes), 0, 65536, NULL},
    {"--precision", CHOICE, AT(precision), 0, 2, fj_precision_names},
    {"--processor", CHOICE, 0, 0, 1, processor_names},
    {"--batch-size", WHOLE, AT(batch_size), 1, 65536, NULL},
    {"--batches", WHOLE, AT(batches), 1, 1e9, NULL},
    {"--seconds", DECIMAL, AT(seconds), 0, 1e6, NULL},
    {"--warmup", WHOLE, AT(warmup), 0, 1e6, NULL},
    {"--overlap", CHOICE, AT(overlap), 0, 2, overlap_names},
    {"--stage", CHOICE, AT(stage), 0, FJ_EMPTY + 1, fj_stage_names},
    {"--threads", WHOLE, AT(threads), 1, 1024, NULL},
    {"--cpus", CORES, AT(cores), 0, 0, NULL},
    {"--path", PATH, AT(path), 0, 0, NULL},
    {"--seed", WHOLE, AT(seed), 0, 9007199254740992.0, NULL},
    {"--learning-rate", DECIMAL, AT(learning_rate), 0, 1e6, NULL},
    {"--mu-conv", WHOLE, AT(mu_conv), 0, 7, NULL},
    {"--mu-fc", WHOLE, AT(mu_fc), 0, 7, NULL},
    {"--rounding", ROUNDING, AT(rounding), 0, 3, fj_rounding_names},
    {"--round-batches", WHOLE, AT(round_batches), 0, 1e9, NULL},
    {"--samples", WHOLE, AT(samples), 1, 1 << 30, NULL},
    {"--data", TEXT, AT(data), 0, 0, NULL},
    {"--deadline-s", DECIMAL, AT(deadline_s), 0, 1e6, NULL},
    {"--list-paths", ACTION, FJ_LIST_PATHS, 0, 0, NULL},
    {"--version", ACTION, FJ_VERSION, 0, 0, NULL},
    {"--help", ACTION, FJ_HELP, 0, 0, NULL},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static int refuse(const Option *option, const char *value, const char *rule) {
    return fj_complain(FJ_EXIT_INPUT, "%s %s (got '%.80s'); see --help", option->name, rule, value);
}

static int read_whole(const Option *option, const char *value, int64_t *found) {
    char rule[80];
    int64_t number = 0;
    size_t digits = strspn(value, "0123456789");
    snprintf(rule, sizeof rule, "must be a whole number from %.0f to %.0f", option->least, option->most);
    if (digits == 0 || digits > 18 || value[digits]) return refuse(option, value, rule);
    for (size_t i = 0; i < digits; i++) number = 10 * number + (value[i] - '0');
    if ((double)number < option->least || (double)number > option->most) return refuse(option, value, rule);
    *found = number;
    return 0;
}

static int read_decimal(const Option *option, const char *value, double *found) {
    char rule[80], *end;
    snprintf(rule, sizeof rule, "must be a number above %g, at most %g", option->least, option->most);
    if (value[0] == '\0' || strspn(value, "0123456789.eE+-") != strlen(value)) return refuse(option, value, rule);
    double number = strtod(value, &end);
    if (*end || !isfinite(number) || number <= option->least || number > option->most)
        return refuse(option, value, rule);
    *found = number;
    return 0;
}

/* The place of a word of `length` bytes among the choices, or -1. */
static int choice_of(const Option *option, const char *word, size_t length) {
    for (int i = 0; i < (int)option->most; i++) {
        if (strlen(option->choices[i]) == length && strncmp(option->choices[i], word, length) == 0) return i;
    }
    return -1;
}

static int read_choice(const Option *option, const char *value, int *found) {
    char rule[120] = "must be";
    int choice = choice_of(option, value, strlen(value));
    for (int i = 0; choice < 0 && i < (int)option->most; i++) {
        size_t used = strlen(rule);
        snprintf(rule + used, sizeof rule - used, "%s %s", i ? " or" : "", option->choices[i]);
    }
    if (choice < 0) return refuse(option, value, rule);
    if (option->at) *found = choice; /* the processor is a choice of one, and is kept nowhere */
    return 0;
}

static int read_path(const Option *option, const char *value, int *found) {
    for (int path = FJ_BEST; path < FJ_PATHS; path++) {
        if (strcmp(fj_path_name((fj_path)path), value) != 0) continue;
        *found = path;
        if (path == FJ_BEST || fj_path_works((fj_path)path)) return 0;
        return refuse(option, value, "must be a path that this core can run; --list-paths prints them");
    }
    return refuse(option, value, "must be best, or one that --list-paths prints");
}

/* "stochastic" for all four, or "update=stochastic,loss=nearest" for some. */
static int read_rounding(const Option *option, const char *value, int *found) {
    const char *rule = "must be nearest, pseudo-stochastic or stochastic, or as in update=nearest,loss=stochastic";
    int all = choice_of(option, value, strlen(value));
    for (int i = 0; all >= 0 && i < 4; i++) found[i] = all;
    for (const char *at = value; all < 0;) {
        size_t length = strcspn(at, "="), of = 0;
        while (of < 4 && !(strlen(rounded[of]) == length && strncmp(rounded[of], at, length) == 0)) of++;
        if (of == 4 || at[length] != '=') return refuse(option, value, rule);
        at += length + 1;
        length = strcspn(at, ",");
        int choice = choice_of(option, at, length);
        if (choice < 0) return refuse(option, value, rule);
        found[of] = choice;
        if (at[length] == '\0') return 0;
        at += length + 1;
    }
    return 0;
}

static int read_value(fj_arguments *arguments, const Option *option, const char *value) {
    void *at = (char *)arguments + option->at;
    const char *broken;
    switch (option->kind) {
    case WHOLE: return read_whole(option, value, at);
    case DECIMAL: return read_decimal(option, value, at);
    case CHOICE: return read_choice(option, value, at);
    case PATH: return read_path(option, value, at);
    case ROUNDING: return read_rounding(option, value, at);
    case CORES: broken = fj_cores_read(at, value); return broken ? refuse(option, value, broken) : 0;
    default: *(const char **)at = value; return 0;
    }
}

static int check(const fj_arguments *arguments) {
    const char *rule = NULL;
    if (!arguments->model) rule = "--model is needed: lenet5, vgg11, vgg16 or as in 28x28x1:conv20k5,pool,fc62";
    else if (strlen(arguments->model) > LONGEST_MODEL) rule = "--model must be at most 1000 characters";
    else if (arguments->precision < 0) rule = "--precision is needed: fp32 or int8";
    else if (arguments->batch_size == 0) rule = "--batch-size is needed: samples of a batch, from 1";
    else if ((arguments->batches > 0) == (arguments->seconds > 0)) rule = "give either --batches or --seconds";
    else if (arguments->overlap && arguments->stage != FJ_TOTAL)
        rule = "--overlap on is for --stage total: a stage alone overlaps nothing";
    else if (arguments->stage == FJ_QUANTIZE && arguments->precision == FJ_FP32)
        rule = "--stage quantize is for --precision int8: fp32 quantizes nothing";
    else if (arguments->data && arguments->samples)
        rule = "--samples is for generated images: the file says how many it has";
    return rule ? fj_complain(FJ_EXIT_INPUT, "%s; see --help", rule) : 0;
}

int fj_arguments_read(fj_arguments *arguments, int count, char **words) {
    *arguments = (fj_arguments){.precision = -1, .stage = FJ_TOTAL, .path = FJ_BEST, .threads = 1, .mu_conv = 3,
                                .mu_fc = 3, .learning_rate = 0.01, .round_batches = -1,
                                .rounding = {FJ_NEAREST, FJ_NEAREST, FJ_PSEUDO_STOCHASTIC, FJ_PSEUDO_STOCHASTIC}};
    for (int i = 1; i < count; i++) {
        size_t length = strcspn(words[i], "=");
        const Option *option = options;
        while (option < options + OPTIONS &&
               !(strlen(option->name) == length && strncmp(option->name, words[i], length) == 0))
            option++;
        if (option == options + OPTIONS)
            return fj_complain(FJ_EXIT_INPUT, "'%.80s' is no option; see --help", words[i]);
        const char *value = words[i][length] == '=' ? words[i] + length + 1 : NULL;
        if (option->kind == ACTION) {
            if (value) return refuse(option, value, "takes no value");
            arguments->action = (fj_action)option->at;
            return 0;
        }
        if (!value && i + 1 == count) return fj_complain(FJ_EXIT_INPUT, "%s needs a value; see --help", option->name);
        int code = read_value(arguments, option, value ? value : words[++i]);
        if (code) return code;
    }
    return check(arguments);
}

void fj_arguments_help(void) {
    fputs("usage: runner --model MODEL --precision fp32|int8 --batch-size N (--batches N | --seconds S)\n"
          "Trains on resident images and prints JSON lines with the nanoseconds of every batch.\n\n"
          "  --model MODEL       lenet5, vgg11, vgg16, or as in 28x28x1:conv20k5,pool,conv50k5,pool,fc500,fc62\n"
          "  --classes N         outputs of a named model (0: lenet5 62, vgg 10)\n"
          "  --precision P       fp32 or int8\n"
          "  --processor cpu     the only one there is here\n"
          "  --batch-size N      samples of a batch\n"
          "  --batches N         how many batches, after the warm-up\n"
          "  --seconds S         ends with the first batch that ends after S, after the warm-up\n"
          "  --warmup N          batches before (0)\n"
          "  --overlap on|off    sample and quantize, transfer, and train at the same time (off)\n"
          "  --stage STAGE       total, or alone: sample, quantize, transfer, train, empty (total)\n"
          "  --threads N         threads that train (1)\n"
          "  --cpus LIST         cores as in 4,5-7: one for each training thread, the rest for the other stages\n"
          "  --path PATH         instructions: best, or one that --list-paths prints (best)\n"
          "  --seed N            of weights, batches and stochastic rounding (0)\n"
          "  --learning-rate X   fp32 (0.01)\n"
          "  --mu-conv N, --mu-fc N   int8: bits of a layer's largest update (3)\n"
          "  --rounding HOW      int8: nearest, pseudo-stochastic or stochastic, for all or as in update=nearest\n"
          "  --round-batches N   begin again from the first weights after so many (a pass over the images; 0: never)\n"
          "  --samples N         generated images (226 of one channel, else 500)\n"
          "  --data FILE         images and labels from a file instead\n"
          "  --deadline-s S      end after S in all, with rc 124\n"
          "  --list-paths, --version, --help\n\n"
          "exit code: 0, 2 bad input, 3 output not written, 4 no memory, 124 deadline, 128 + a signal\n",
          stdout);
}
