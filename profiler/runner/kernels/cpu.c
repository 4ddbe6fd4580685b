#include "cpu.h"

#include <stddef.h>

#if defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>
#endif

static const char *const names[FJ_PATHS] = {"scalar", "avx2", "avx512", "vnni", "neon", "dotprod", "i8mm"};

#if defined(FJ_X86)
typedef struct {
    unsigned a, b, c, d;
} Registers;

static Registers cpuid(unsigned leaf, unsigned sub) {
    Registers r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

/* What the system saves when it switches threads: without it the registers may not be used. */
static unsigned saved_state(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(fj_path path) {
    if (cpuid(0, 0).a < 7) return 0;
    Registers one = cpuid(1, 0), seven = cpuid(7, 0);
    if (!(one.c >> 27 & 1)) return 0;
    unsigned state = saved_state();
    int avx2 = (state & 0x06) == 0x06 && (one.c >> 28 & 1) && (one.c >> 12 & 1) && (seven.b >> 5 & 1);
    int avx512 = avx2 && (state & 0xe6) == 0xe6 && (seven.b >> 16 & 1) && (seven.b >> 17 & 1) &&
                 (seven.b >> 30 & 1) && (seven.b >> 31 & 1);
    if (path == FJ_AVX2) return avx2;
    if (path == FJ_AVX512) return avx512;
    return path == FJ_VNNI && avx512 && (seven.c >> 11 & 1);
}
#elif defined(__aarch64__) && defined(__linux__)
static int has(fj_path path) {
    unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    int dotprod = first >> 20 & 1;
    if (path == FJ_NEON) return 1;
    if (path == FJ_DOTPROD) return dotprod;
    return path == FJ_I8MM && dotprod && (second >> 13 & 1);
}
#elif defined(__arm__) && defined(__linux__)
static int has(fj_path path) {
    return path == FJ_NEON && (getauxval(AT_HWCAP) >> 12 & 1);
}
#else
static int has(fj_path path) {
    (void)path;
    return 0;
}
#endif

/* Asked once: where the machine is virtual, asking the processor takes as long as a small batch. */
int fj_path_works(fj_path path) {
    static _Atomic(unsigned) found; /* a bit for each path, and one that says that they were asked for */
    unsigned paths = found;
    if (path < 0 || path >= FJ_PATHS) return 0;
    if (!paths) {
        paths = 1u << FJ_PATHS | 1u << FJ_SCALAR;
        for (int each = FJ_SCALAR + 1; each < FJ_PATHS; each++) paths |= (unsigned)(has((fj_path)each) != 0) << each;
        found = paths;
    }
    return paths >> path & 1;
}

const char *fj_path_name(fj_path path) {
    return path >= 0 && path < FJ_PATHS ? names[path] : path == FJ_BEST ? "best" : NULL;
}

fj_path fj_path_best(fj_precision precision) {
    static const fj_path int8[] = {FJ_VNNI, FJ_AVX512, FJ_AVX2, FJ_I8MM, FJ_DOTPROD, FJ_NEON};
    static const fj_path fp32[] = {FJ_AVX512, FJ_AVX2, FJ_NEON};
    const fj_path *order = precision == FJ_INT8 ? int8 : fp32;
    size_t count = precision == FJ_INT8 ? sizeof int8 / sizeof int8[0] : sizeof fp32 / sizeof fp32[0];
    for (size_t i = 0; i < count; i++) {
        if (fj_path_works(order[i])) return order[i];
    }
    return FJ_SCALAR;
}
