/* The runner: trains on resident images, and says in JSON lines how long every batch took. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../kernels/fedjoule.h"
#include "batch.h"
#include "complaint.h"

#define SAMPLES_OF_ONE_CHANNEL 226 /* a writer of FEMNIST */
#define SAMPLES_OF_MORE 500        /* a client of CIFAR */
#define MOST_SLOT_BYTES ((int64_t)1 << 30)

/* A sanitizer maps far more memory than there is. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Lets an allocation fail where the device has no memory for it, instead of having a process killed. */
static void limit_memory(void) {
#if !defined(SANITIZED)
    char line[128];
    unsigned long available_kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file) return;
    while (available_kib == 0 && fgets(line, sizeof line, file)) {
        if (sscanf(line, "MemAvailable: %lu", &available_kib) != 1) available_kib = 0;
    }
    fclose(file);
    struct rlimit limit;
    if (available_kib == 0 || getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur / 1024 <= available_kib) return;
    limit.rlim_cur = (rlim_t)available_kib * 1024;
    setrlimit(RLIMIT_DATA, &limit);
#endif
}

static int print_paths(void) {
    for (int path = 0; path < FJ_PATHS; path++) {
        if (fj_path_works((fj_path)path)) printf("%s\n", fj_path_name((fj_path)path));
    }
    return 0;
}

static int act(fj_action action) {
    if (action == FJ_LIST_PATHS) print_paths();
    else if (action == FJ_VERSION) printf("fedjoule-runner 1 build %s\n", fj_build_id());
    else fj_arguments_help();
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : fj_complain(FJ_EXIT_OUTPUT, "the output cannot be written");
}

static int check_cores(const fj_cores *cores) {
    for (int i = 0; i < cores->count; i++) {
        int reason = fj_cores_pin(cores, i, i + 1);
        if (reason)
            return fj_complain(FJ_EXIT_INPUT, "--cpus: core %d cannot be used: %s", cores->cpu[i], strerror(reason));
    }
    fj_cores_pin(cores, 0, cores->count);
    return 0;
}

static int get_images(fj_work *work) {
    const fj_arguments *arguments = work->arguments;
    int64_t each = (int64_t)work->model.h * work->model.w * work->model.c;
    int64_t count = work->model.c == 1 ? SAMPLES_OF_ONE_CHANNEL : SAMPLES_OF_MORE;
    const char *too_many = "%s must be at most %" PRId64 " for images of this size (got %" PRId64 ")";
    if (arguments->samples) count = arguments->samples;
    if (arguments->batch_size > MOST_SLOT_BYTES / 4 / each)
        return fj_complain(FJ_EXIT_INPUT, too_many, "--batch-size", MOST_SLOT_BYTES / 4 / each, arguments->batch_size);
    if (arguments->data) return fj_images_read(&work->images, &work->model, arguments->data);
    if (count > FJ_MOST_IMAGE_BYTES / each)
        return fj_complain(FJ_EXIT_INPUT, too_many, "--samples", FJ_MOST_IMAGE_BYTES / each, count);
    return fj_images_generate(&work->images, &work->model, count);
}

static int get_network(fj_work *work) {
    const fj_arguments *arguments = work->arguments;
    char error[300];
    fj_options options = {
        .model = arguments->model, .classes = (int)arguments->classes, .precision = (fj_precision)arguments->precision,
        .batch_size = (int)arguments->batch_size, .path = (fj_path)arguments->path, .threads = (int)arguments->threads,
        .cpus = arguments->cores.count ? arguments->cores.cpu : NULL, .cpu_count = arguments->cores.count,
    };
    if (arguments->stage != FJ_TOTAL && arguments->stage != FJ_TRAIN) return 0;
    if (fj_network_new(&work->network, &options, error, sizeof error) != 0)
        return fj_complain(strncmp(error, "memory", 6) == 0 ? FJ_EXIT_MEMORY : FJ_EXIT_INPUT, "%s", error);
    fj_init_weights(work->network, (uint64_t)arguments->seed);
    int64_t pass = (work->images.count + arguments->batch_size - 1) / arguments->batch_size;
    work->round = (uint64_t)(arguments->round_batches < 0 ? pass : arguments->round_batches);
    if (work->round && fj_keep_weights(work->network) != 0)
        return fj_complain(FJ_EXIT_MEMORY, "memory: a copy of the weights could not be had; or take --round-batches 0");
    work->step = (fj_step){
        .learning_rate = (float)arguments->learning_rate,
        .mu_conv = (int)arguments->mu_conv, .mu_fc = (int)arguments->mu_fc,
        .activation = (fj_rounding)arguments->rounding[0], .error = (fj_rounding)arguments->rounding[1],
        .update = (fj_rounding)arguments->rounding[2], .loss = (fj_rounding)arguments->rounding[3],
        .seed = (uint64_t)arguments->seed,
    };
    return 0;
}

static void say_hello(const fj_work *work, int64_t boottime_ns, int64_t monotonic_ns) {
    const fj_arguments *arguments = work->arguments;
    fj_precision precision = (fj_precision)arguments->precision;
    fj_path path = arguments->path == FJ_BEST ? fj_path_best(precision) : (fj_path)arguments->path;
    const int *rounding = arguments->rounding;
    char cores[200], paths[80] = "", how[160];
    fj_cores_allowed(cores, sizeof cores);
    for (int i = 0; i < FJ_PATHS; i++) {
        size_t used = strlen(paths);
        if (fj_path_works((fj_path)i))
            snprintf(paths + used, sizeof paths - used, "%s%s", used ? " " : "", fj_path_name((fj_path)i));
    }
    if (precision == FJ_FP32)
        snprintf(how, sizeof how, "\"learning_rate\":%.9g", arguments->learning_rate);
    else
        snprintf(how, sizeof how, "\"mu_conv\":%d,\"mu_fc\":%d,\"rounding\":\"%s %s %s %s\"", (int)arguments->mu_conv,
                 (int)arguments->mu_fc, fj_rounding_names[rounding[0]], fj_rounding_names[rounding[1]],
                 fj_rounding_names[rounding[2]], fj_rounding_names[rounding[3]]);
    /* A model that was read has nothing in it that JSON would need escaped. */
    fj_log_line(work->log,
                "{\"kind\":\"hello\",\"version\":1,\"program\":\"fedjoule-runner\",\"build\":\"%s\",\"model\":\"%s\","
                "\"classes\":%d,\"precision\":\"%s\",\"processor\":\"cpu\",\"batch_size\":%" PRId64 ",\"stage\":\"%s\","
                "\"overlap\":\"%s\",\"path\":\"%s\",\"paths\":\"%s\",\"threads\":%" PRId64 ",\"cpus\":\"%s\","
                "\"seed\":%" PRId64 ",\"round_batches\":%" PRIu64 ",%s,\"data\":\"%s\",\"samples\":%" PRId64 ","
                "\"data_checksum\":\"%016" PRIx64 "\","
                "\"boottime_ns\":%" PRId64 ",\"monotonic_ns\":%" PRId64 "}",
                fj_build_id(), arguments->model, work->model.classes, fj_precision_names[precision],
                arguments->batch_size, fj_stage_names[arguments->stage], arguments->overlap ? "on" : "off",
                fj_path_name(work->network ? fj_network_path(work->network) : path), paths, arguments->threads, cores,
                arguments->seed, work->round, how, arguments->data ? "file" : "generated", work->images.count,
                work->images.checksum, boottime_ns, monotonic_ns);
}

static int run_phase(fj_work *work, const char *name, int64_t batches, double seconds) {
    int (*phase)(fj_work *, int64_t, double) = work->arguments->overlap ? fj_run_overlapped : fj_run_in_turn;
    fj_log_phase(work->log, name);
    if (phase(work, batches, seconds) != 0) return fj_complain(FJ_EXIT_MEMORY, "memory: a thread could not be made");
    return fj_watch_ending(work->watch);
}

/* What the run leaves: a checksum of the weights, or of what a stage alone made last, and the first and last loss. */
static void say_end(fj_work *work, int rc) {
    char sum[60] = "", losses[80] = "", waited[40] = "", more[200];
    int stage = work->arguments->stage;
    const fj_slot *slots = stage == FJ_TRANSFER ? work->device : work->host;
    uint64_t last = work->number - 1;
    if (work->network)
        snprintf(sum, sizeof sum, ",\"checksum\":\"%016" PRIx64 "\"", fj_checksum(work->network));
    else if (stage != FJ_EMPTY)
        snprintf(sum, sizeof sum, ",\"checksum\":\"%016" PRIx64 "\"", fj_slot_checksum(work, &slots[last % FJ_SLOTS]));
    if (work->network && isfinite(work->first_loss) && isfinite(work->last_loss))
        snprintf(losses, sizeof losses, ",\"first_loss\":%.9g,\"loss\":%.9g", (double)work->first_loss,
                 (double)work->last_loss);
    else if (work->network)
        fj_log_line(work->log, "{\"kind\":\"note\",\"what\":\"the loss is not finite; lower --learning-rate\"}");
    if (work->waited_ns >= 0) snprintf(waited, sizeof waited, ",\"waited_ns\":%" PRId64, work->waited_ns);
    snprintf(more, sizeof more, "%s%s%s", sum, losses, waited);
    fj_log_end(work->log, rc, more);
}

static int measure(fj_work *work) {
    const fj_arguments *arguments = work->arguments;
    fj_frequencies before, after;
    char changes[200];
    int rc = 0;
    /* The pool pins with its first job; a stage alone has none. */
    if (arguments->cores.count) fj_cores_pin(&arguments->cores, 0, 1);
    if (arguments->warmup) rc = run_phase(work, "warmup", arguments->warmup, 0.0);
    fj_frequencies_read(&before, &arguments->cores);
    int64_t waited_ns = fj_cores_waited_ns();
    work->waited_ns = -1;
    if (!rc) rc = run_phase(work, "run", arguments->batches, arguments->seconds);
    if (waited_ns >= 0) work->waited_ns = fj_cores_waited_ns() - waited_ns;
    fj_frequencies_read(&after, &arguments->cores);
    if (fj_frequencies_compare(&before, &after, changes, sizeof changes))
        fj_log_line(work->log, "{\"kind\":\"note\",\"what\":\"frequency changed: %s\"}", changes);
    if (work->number) say_end(work, rc);
    else fj_log_end(work->log, rc, "");
    return rc;
}

static int run(fj_work *work) {
    int64_t boottime_ns = fj_boottime_ns(), monotonic_ns = fj_now_ns();
    char error[300];
    limit_memory();
    if (fj_model_read(&work->model, work->arguments->model, (int)work->arguments->classes, error, sizeof error) != 0)
        return fj_complain(FJ_EXIT_INPUT, "%s", error);
    int code = check_cores(&work->arguments->cores);
    if (!code) code = fj_watch_begin(work->watch, work->log, work->arguments->deadline_s);
    if (code) return code;
    code = get_images(work);
    if (!code) code = get_network(work);
    if (!code && fj_slots_new(work) != 0) code = fj_complain(FJ_EXIT_MEMORY, "memory: not enough for this batch size");
    if (!code) code = fj_watch_ending(work->watch);
    if (!code) {
        say_hello(work, boottime_ns, monotonic_ns);
        code = measure(work);
    }
    fj_watch_end(work->watch);
    fj_network_free(work->network);
    fj_slots_free(work);
    fj_images_free(&work->images);
    return code;
}

int main(int count, char **words) {
    static fj_arguments arguments;
    static fj_log log;
    static fj_watch watch;
    static fj_work work = {.arguments = &arguments, .log = &log, .watch = &watch};
    int code = fj_arguments_read(&arguments, count, words);
    if (code) return code;
    if (arguments.action != FJ_RUN) return act(arguments.action);
    fj_log_open(&log, arguments.stage != FJ_TOTAL);
    return run(&work);
}
