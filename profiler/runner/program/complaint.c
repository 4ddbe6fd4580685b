#include "complaint.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int fj_complain(int code, const char *format, ...) {
    char line[600] = "fedjoule-runner: ";
    int start = 17, length;
    va_list arguments;
    va_start(arguments, format);
    length = vsnprintf(line + start, sizeof line - 1 - (size_t)start, format, arguments);
    va_end(arguments);
    if (length < 0) return code;
    length += start;
    if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
    for (int i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)line[i];
        if (byte < 0x20 || byte > 0x7e) line[i] = '?';
    }
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)length) < 0) return code; /* nowhere is left to say it */
    return code;
}
