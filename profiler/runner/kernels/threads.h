/* A few threads that share the tasks of one job after another. */
#ifndef FJ_THREADS_H
#define FJ_THREADS_H

typedef struct fj_pool fj_pool;
typedef void (*fj_task)(void *context, int task, int thread);

/* Makes a pool of `threads` (the caller is one of them), pinned in turn to `cpus` if there are any. NULL if a thread
 * could not be made. The caller's own affinity is set with its first job. */
fj_pool *fj_pool_new(int threads, const int *cpus, int cpu_count);
void fj_pool_free(fj_pool *pool);
int fj_pool_threads(const fj_pool *pool);

/* Calls task(context, 0..tasks-1, thread) once each, on any thread, and returns when all have ended. Tasks are handed
 * out in order; what they compute must not depend on the thread. */
void fj_pool_run(fj_pool *pool, fj_task task, void *context, int tasks);

#endif
