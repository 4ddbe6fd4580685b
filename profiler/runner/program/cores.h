/* The cores that the runner may use: lists of them, pinning, and how fast they run. */
#ifndef FJ_CORES_H
#define FJ_CORES_H

#include <stddef.h>
#include <stdint.h>

#define FJ_MOST_CORES 1024

typedef struct {
    int count; /* 0: any core */
    int cpu[FJ_MOST_CORES];
} fj_cores;

/* Reads "4,5-7". Returns NULL, or the rule that the text breaks. */
const char *fj_cores_read(fj_cores *cores, const char *text);

/* Pins the calling thread to cpu[first] up to cpu[last - 1]; nothing if there are none. Returns 0, or errno. */
int fj_cores_pin(const fj_cores *cores, int first, int last);

/* Pins to the cores that `threads` training threads leave over, or to all where none is left. */
void fj_cores_pin_aside(const fj_cores *cores, int threads);

/* Writes the cores that the calling thread may run on as "0-3,6". */
void fj_cores_allowed(char *text, size_t bytes);

/* The present frequencies of the cores given, or of those allowed; 0 where they cannot be read. */
typedef struct {
    int count;
    int cpu[16];
    long khz[16];
} fj_frequencies;
void fj_frequencies_read(fj_frequencies *frequencies, const fj_cores *cores);

/* Writes which cores changed by more than a twentieth; returns 0 if none did. */
int fj_frequencies_compare(const fj_frequencies *before, const fj_frequencies *after, char *text, size_t bytes);

/* Nanoseconds in which the calling thread was ready and others had its core; -1 where the system does not say. */
int64_t fj_cores_waited_ns(void);

#endif
