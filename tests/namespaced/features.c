/* Says what the processor can do, as a program on it sees it. */
#include <stdio.h>
#include <sys/auxv.h>

int main(void) {
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    printf("dotprod %lu i8mm %lu\n", first >> 20 & 1, second >> 13 & 1);
    return 0;
}
