/* The INT8 kernels for AVX-512 with VNNI: 64 products an instruction, of unsigned by signed values, exact in 32 bits
 * (sums may leave their range on the way and come back). */
#include "cpu.h"

#if defined(FJ_X86)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

FJ_TARGET_PUSH(FJ_ISA_VNNI)

#define FJ_KERNELS fj_int8_vnni
#define NARROW &fj_int8_vnni_narrow
#define ROWS 12
#define HALF_ROWS 6
#define VECTORS 2

#include "int8_vnni.h"

FJ_TARGET_POP
#else
typedef int fj_int8_vnni_is_for_x86;
#endif
