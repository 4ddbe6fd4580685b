/* What the emulated core counts. qemu-hexagon keeps three counters in registers that no real core has, c20 to c22:
 * packets, instructions without nops, and HVX instructions. Only the checked program reads them (FJ_DSP_COUNTED). */
#ifndef FJ_COUNTERS_H
#define FJ_COUNTERS_H

#include <stdint.h>

typedef struct {
    uint64_t packets, instructions, hvx_instructions;
} fj_counts;

#ifdef FJ_DSP_COUNTED
/* The assembler does not know these registers by name: r0 = c20 and so on, as words. */
static inline uint32_t fj_counter_packets(void) {
    register uint32_t value __asm__("r0");
    __asm__ volatile(".word 0x6a14c000" : "=r"(value)::"memory");
    return value;
}
static inline uint32_t fj_counter_instructions(void) {
    register uint32_t value __asm__("r0");
    __asm__ volatile(".word 0x6a15c000" : "=r"(value)::"memory");
    return value;
}
static inline uint32_t fj_counter_hvx(void) {
    register uint32_t value __asm__("r0");
    __asm__ volatile(".word 0x6a16c000" : "=r"(value)::"memory");
    return value;
}
#else
static inline uint32_t fj_counter_packets(void) { return 0; }
static inline uint32_t fj_counter_instructions(void) { return 0; }
static inline uint32_t fj_counter_hvx(void) { return 0; }
#endif

/* The counters have 32 bits and go round: what lies between two readings must be less than 2^32. */
typedef struct {
    uint32_t packets, instructions, hvx_instructions;
} fj_reading;

static inline fj_reading fj_read_counters(void) {
    return (fj_reading){fj_counter_packets(), fj_counter_instructions(), fj_counter_hvx()};
}
static inline void fj_count_since(fj_reading begin, fj_counts *counts) {
    const fj_reading end = fj_read_counters();
    counts->packets += (uint32_t)(end.packets - begin.packets);
    counts->instructions += (uint32_t)(end.instructions - begin.instructions);
    counts->hvx_instructions += (uint32_t)(end.hvx_instructions - begin.hvx_instructions);
}

#endif
