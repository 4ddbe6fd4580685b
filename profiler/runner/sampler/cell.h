// A cell of a row: the first line of a file, made harmless.
#ifndef FJ_SAMPLER_CELL_H
#define FJ_SAMPLER_CELL_H

#include <stdbool.h>
#include <stddef.h>

enum { FJ_MOST_CELL = 64 };

// A file that is read again and again; `handle` is -1 while it is not open.
struct fj_file {
    const char *path;
    int handle;
};

// Writes the file's first line to `cell`, which holds FJ_MOST_CELL characters, and returns its length: 0 if the file
// cannot be read now. It stays open for the next time, unless `reopen`.
size_t fj_cell(struct fj_file *file, bool reopen, char *cell);

// Writes the first line of `length` bytes to `cell` and returns its length: spaces at its ends are left out, and every
// byte that would break a row or a terminal becomes a question mark, so that it cannot pass for a number.
size_t fj_harmless(const char *bytes, size_t length, char *cell);

#endif
