/* How the runner says what went wrong: one line on standard error, and an exit code. */
#ifndef FJ_COMPLAINT_H
#define FJ_COMPLAINT_H

#define FJ_EXIT_INPUT 2     /* an argument or a file breaks a rule */
#define FJ_EXIT_OUTPUT 3    /* the output could not be written */
#define FJ_EXIT_MEMORY 4    /* memory or threads ran short */
#define FJ_EXIT_DEADLINE 124 /* as timeout(1); a signal n gives 128 + n, as the shell */

/* Prints one line; bytes that a terminal might act on become '?'. Returns `code`. */
__attribute__((format(printf, 2, 3))) int fj_complain(int code, const char *format, ...);

#endif
