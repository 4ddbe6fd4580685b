#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// Opens the file. Only what is a regular file, as all of /sys and /proc is, can be read again from its start; a pipe
// without a writer would hold us up, and so would a device.
static bool opened(struct fj_file *file) {
    file->handle = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat found;
    if (file->handle >= 0 && (fstat(file->handle, &found) != 0 || !S_ISREG(found.st_mode))) {
        close(file->handle);
        file->handle = -1;
    }
    return file->handle >= 0;
}

static void shut(struct fj_file *file) {
    close(file->handle);
    file->handle = -1;
}

// Returns how many bytes the start of an open file gave, -1 if none can be had from it any more.
static ssize_t start_of(const struct fj_file *file, char *bytes, size_t most) {
    struct stat found;
    // A file that was replaced, or removed, still gives its old value to whoever holds it open.
    if (fstat(file->handle, &found) != 0 || found.st_nlink == 0) {
        return -1;
    }
    return pread(file->handle, bytes, most, 0);
}

size_t fj_cell(struct fj_file *file, bool reopen, char *cell) {
    char bytes[2 * FJ_MOST_CELL];
    bool held = file->handle >= 0;
    if (!held && !opened(file)) {
        return 0;
    }
    ssize_t length = start_of(file, bytes, sizeof bytes);
    if (length < 0 && held) { // some drivers want their file opened anew
        shut(file);
        if (!opened(file)) {
            return 0;
        }
        length = start_of(file, bytes, sizeof bytes);
    }
    if (length < 0 || reopen) {
        shut(file);
    }
    return length > 0 ? fj_harmless(bytes, (size_t)length, cell) : 0;
}

static bool blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

size_t fj_harmless(const char *bytes, size_t length, char *cell) {
    size_t begin = 0;
    size_t end = 0;
    while (end < length && bytes[end] != '\n') {
        end++;
    }
    while (begin < end && blank(bytes[begin])) {
        begin++;
    }
    while (end > begin && blank(bytes[end - 1])) {
        end--;
    }
    size_t most = end - begin < FJ_MOST_CELL ? end - begin : FJ_MOST_CELL;
    for (size_t i = 0; i < most; i++) {
        char byte = bytes[begin + i];
        cell[i] = byte >= ' ' && byte <= '~' && byte != ',' ? byte : '?';
    }
    return most;
}
