#include "cores.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A number of a core, and what follows it; -1 if there is none. */
static int number(const char **at) {
    int value = 0, digits = 0;
    while (**at >= '0' && **at <= '9' && digits < 5) {
        value = 10 * value + (*(*at)++ - '0');
        digits++;
    }
    return digits && value < FJ_MOST_CORES ? value : -1;
}

const char *fj_cores_read(fj_cores *cores, const char *text) {
    unsigned char taken[FJ_MOST_CORES] = {0};
    cores->count = 0;
    for (const char *at = text;; at++) {
        int first = number(&at), last = first;
        if (first >= 0 && *at == '-') {
            at++;
            last = number(&at);
        }
        if (first < 0 || last < first) return "must be cores from 0 to 1023 as in 4,5-7";
        for (int cpu = first; cpu <= last; cpu++) {
            if (taken[cpu]++) return "must name each core once";
            cores->cpu[cores->count++] = cpu;
        }
        if (*at == '\0') return NULL;
        if (*at != ',') return "must be cores from 0 to 1023 as in 4,5-7";
    }
}

int fj_cores_pin(const fj_cores *cores, int first, int last) {
    cpu_set_t set;
    if (cores->count == 0) return 0;
    CPU_ZERO(&set);
    for (int i = first; i < last; i++) CPU_SET((size_t)cores->cpu[i], &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}

void fj_cores_pin_aside(const fj_cores *cores, int threads) {
    fj_cores_pin(cores, cores->count > threads ? threads : 0, cores->count);
}

static int allowed(cpu_set_t *set) {
    CPU_ZERO(set);
    return sched_getaffinity(0, sizeof *set, set) == 0;
}

void fj_cores_allowed(char *text, size_t bytes) {
    cpu_set_t set;
    size_t used = 0;
    text[0] = '\0';
    if (!allowed(&set)) return;
    for (size_t first = 0; first < FJ_MOST_CORES; first++) {
        size_t last = first;
        if (!CPU_ISSET(first, &set)) continue;
        while (last + 1 < FJ_MOST_CORES && CPU_ISSET(last + 1, &set)) last++;
        const char *format = last > first ? "%s%zu-%zu" : "%s%zu";
        int length = snprintf(text + used, bytes - used, format, used ? "," : "", first, last);
        if (length < 0 || (size_t)length >= bytes - used) {
            text[used] = '\0'; /* a list this long is cut at a whole entry */
            return;
        }
        used += (size_t)length;
        first = last;
    }
}

static long read_khz(int cpu) {
    char path[80], text[24];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", cpu);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = '\0';
    return strtol(text, NULL, 10);
}

void fj_frequencies_read(fj_frequencies *frequencies, const fj_cores *cores) {
    cpu_set_t set;
    int most = (int)(sizeof frequencies->cpu / sizeof frequencies->cpu[0]), any = cores->count == 0 && allowed(&set);
    frequencies->count = 0;
    for (int i = 0; i < (any ? FJ_MOST_CORES : cores->count) && frequencies->count < most; i++) {
        if (any && !CPU_ISSET((size_t)i, &set)) continue;
        frequencies->cpu[frequencies->count] = any ? i : cores->cpu[i];
        frequencies->khz[frequencies->count] = read_khz(any ? i : cores->cpu[i]);
        frequencies->count++;
    }
}

int fj_frequencies_compare(const fj_frequencies *before, const fj_frequencies *after, char *text, size_t bytes) {
    size_t used = 0;
    for (int i = 0; i < before->count && i < after->count && used < bytes; i++) {
        long was = before->khz[i], is = after->khz[i];
        if (was <= 0 || is <= 0 || labs(is - was) <= was / 20) continue;
        int length = snprintf(text + used, bytes - used, "%score %d from %ld to %ld MHz", used ? ", " : "",
                              before->cpu[i], was / 1000, is / 1000);
        used += length > 0 ? (size_t)length : 0;
    }
    return used > 0;
}

int64_t fj_cores_waited_ns(void) {
    unsigned long long ran_ns, waited_ns;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (!file) return -1;
    int found = fscanf(file, "%llu %llu", &ran_ns, &waited_ns);
    fclose(file);
    return found == 2 && waited_ns <= INT64_MAX ? (int64_t)waited_ns : -1;
}
