/* Integer rounding of x / 2^s, shared by every path: the definitions that the fast versions must equal. */
#ifndef FJ_ROUNDING_H
#define FJ_ROUNDING_H

#include <stdint.h>

/* b = ceil(log2 m) for m >= 1, and 0 for m = 0: a maximum that is a power of two is not widened. */
static inline int fj_bit_width(uint32_t largest) {
    return largest <= 1 ? 0 : 32 - __builtin_clz(largest - 1);
}

/* The shift that brings a tensor's largest magnitude into 7 bits. */
static inline int fj_requant_shift(uint32_t largest) {
    int bits = fj_bit_width(largest);
    return bits > 7 ? bits - 7 : 0;
}

static inline uint32_t fj_magnitude(int32_t x) {
    return x < 0 ? 0u - (uint32_t)x : (uint32_t)x;
}

static inline int32_t fj_signed(int32_t like, uint32_t magnitude) {
    return like < 0 ? (int32_t)(0u - magnitude) : (int32_t)magnitude;
}

/* Ties away from zero. s from 0 to 30. */
static inline int32_t fj_round_nearest(int32_t x, int s) {
    if (s <= 0) return x;
    return fj_signed(x, (fj_magnitude(x) + (1u << (s - 1))) >> s);
}

/* Up if the upper half of the cut bits is larger than the lower half: no random numbers, the same for the same x. */
static inline int32_t fj_round_pseudo(int32_t x, int s) {
    if (s <= 0) return x;
    uint32_t a = fj_magnitude(x), half = (uint32_t)s / 2, rest = a & ((1u << s) - 1);
    uint32_t high = rest >> half, low = rest & ((1u << half) - 1);
    if (s % 2) low *= 2;
    return fj_signed(x, (a >> s) + (high > low));
}

/* A well-mixed 32-bit number from a key and a place in the tensor: the same on every path, thread and machine. */
static inline uint32_t fj_random(uint32_t key, uint32_t place) {
    uint32_t x = key + place * 0x9e3779b9u;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

/* Up with the probability of the cut bits. */
static inline int32_t fj_round_stochastic(int32_t x, int s, uint32_t key, uint32_t place) {
    if (s <= 0) return x;
    uint32_t a = fj_magnitude(x), mask = (1u << s) - 1;
    return fj_signed(x, (a >> s) + ((fj_random(key, place) & mask) < (a & mask)));
}

static inline int32_t fj_clip127(int32_t x) {
    return x > 127 ? 127 : x < -127 ? -127 : x;
}

/* Whose numbers these are: what is rounded in a step. */
typedef enum { FJ_OF_ACTIVATION = 1, FJ_OF_ERROR = 2, FJ_OF_UPDATE = 3, FJ_OF_LOSS = 4 } fj_purpose;

/* The key of a tensor's random numbers. */
static inline uint32_t fj_random_key(uint64_t seed, uint64_t step, int layer, fj_purpose purpose) {
    uint32_t key = fj_random((uint32_t)seed, (uint32_t)(seed >> 32));
    key = fj_random(key, (uint32_t)step);
    key = fj_random(key, (uint32_t)(step >> 32));
    return fj_random(key, (uint32_t)layer * 8u + (uint32_t)purpose);
}

#endif
