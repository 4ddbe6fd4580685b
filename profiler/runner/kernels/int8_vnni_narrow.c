/* The INT8 kernels for AVX-512 with VNNI, for layers of up to 16 outputs. */
#include "cpu.h"

#if defined(FJ_X86)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "float_loss.h"
#include "int8_kernels.h"
#include "rounding.h"

FJ_TARGET_PUSH(FJ_ISA_VNNI)

#define FJ_KERNELS fj_int8_vnni_narrow
#define ROWS 12
#define HALF_ROWS 6
#define VECTORS 1

#include "int8_vnni.h"

FJ_TARGET_POP
#else
typedef int fj_int8_vnni_narrow_is_for_x86;
#endif
