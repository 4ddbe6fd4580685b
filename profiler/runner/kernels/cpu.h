/* What this core can do. */
#ifndef FJ_CPU_H
#define FJ_CPU_H

#include "fedjoule.h"

/* Marks the functions between PUSH and POP as compiled for an instruction set; the others stay portable. */
#define FJ_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FJ_TARGET_PUSH(isa) FJ_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define FJ_TARGET_POP FJ_PRAGMA(clang attribute pop)
#else
#define FJ_TARGET_PUSH(isa) FJ_PRAGMA(GCC push_options) FJ_PRAGMA(GCC target(isa))
#define FJ_TARGET_POP FJ_PRAGMA(GCC pop_options)
#endif

#if defined(__x86_64__)
#define FJ_X86 1
#define FJ_ISA_AVX2 "avx2,fma"
#define FJ_ISA_AVX512 "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"
#define FJ_ISA_VNNI "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#elif defined(__aarch64__)
#define FJ_ISA_DOTPROD "dotprod"
#define FJ_ISA_I8MM "dotprod,i8mm"
#endif

#endif
