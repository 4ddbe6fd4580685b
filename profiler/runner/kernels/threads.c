#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* Jobs follow each other closely, and being woken costs as much; but a core that others want is not spun away. */
#define SPIN_NS 50000
#define SPINS_PER_LOOK 32
#define CLOSED 0x7fffffff /* more tasks than any job has */

typedef struct {
    fj_pool *pool;
    pthread_t thread;
    int number, cpu;
} Worker;

struct fj_pool {
    int threads, cpu;
    atomic_bool pinned;
    Worker *worker; /* threads - 1 of them */
    pthread_mutex_t lock;
    pthread_cond_t begun;
    atomic_bool stop;
    atomic_int sleeping;
    /* The present job's number in the upper half, its next task in the lower: whoever raises it has that task, and one
     * who is late for a job cannot take a task of the next. While the next job is written down it is CLOSED, so that one
     * who is late and reads already its number of tasks fails to raise the ticket of the job before. */
    atomic_uint_fast64_t ticket;
    atomic_int finished; /* tasks of the present job; it ends when all have, whoever did them */
    _Atomic(int) tasks;
    _Atomic(fj_task) task;
    _Atomic(void *) context;
};

static uint32_t job_of(uint_fast64_t ticket) {
    return (uint32_t)(ticket >> 32);
}

static void pin(int cpu) {
    if (cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    sched_setaffinity(0, sizeof set, &set); /* a core that is not there leaves the thread where it is */
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits a moment; returns whether spinning has gone on since `began_ns` (0 at first) for long enough. */
static int spun(int64_t *began_ns) {
    for (int i = 0; i < SPINS_PER_LOOK; i++) relax();
    int64_t now = now_ns();
    if (*began_ns == 0) *began_ns = now;
    return now - *began_ns > SPIN_NS;
}

/* Does tasks of a job until there are none left, or it has ended. What is read of a job before a task of it is taken was
 * not yet replaced: the job cannot end without that task. */
static void share(fj_pool *pool, uint32_t job, int thread) {
    for (;;) {
        uint_fast64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
        int next = (int)(uint32_t)ticket;
        fj_task task = atomic_load_explicit(&pool->task, memory_order_relaxed);
        void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
        if (job_of(ticket) != job || next >= atomic_load_explicit(&pool->tasks, memory_order_acquire)) return;
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                   memory_order_relaxed))
            continue;
        task(context, next, thread);
        atomic_fetch_add_explicit(&pool->finished, 1, memory_order_release);
    }
}

/* Returns the number of the next job, or `seen` when the pool ends. */
static uint32_t await(fj_pool *pool, uint32_t seen) {
    int64_t began_ns = 0;
    do {
        uint32_t job = job_of(atomic_load_explicit(&pool->ticket, memory_order_acquire));
        if (job != seen || atomic_load(&pool->stop)) return job;
    } while (!spun(&began_ns));
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleeping, 1);
    while (job_of(atomic_load(&pool->ticket)) == seen && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->begun, &pool->lock);
    atomic_fetch_sub(&pool->sleeping, 1);
    pthread_mutex_unlock(&pool->lock);
    return job_of(atomic_load(&pool->ticket));
}

static void *work(void *argument) {
    Worker *worker = argument;
    fj_pool *pool = worker->pool;
    uint32_t seen = 0;
    pin(worker->cpu);
    for (;;) {
        seen = await(pool, seen);
        if (atomic_load(&pool->stop)) return NULL;
        share(pool, seen, worker->number);
    }
}

/* Returns the number of the job that begins. */
static uint32_t begin(fj_pool *pool, fj_task task, void *context, int tasks) {
    uint_fast64_t ended = atomic_load_explicit(&pool->ticket, memory_order_relaxed);
    uint32_t job = job_of(ended) + 1;
    atomic_store_explicit(&pool->ticket, ended | CLOSED, memory_order_relaxed);
    atomic_store_explicit(&pool->task, task, memory_order_relaxed);
    atomic_store_explicit(&pool->context, context, memory_order_relaxed);
    atomic_store_explicit(&pool->tasks, tasks, memory_order_release); /* who reads it finds the ticket closed */
    atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
    atomic_store(&pool->ticket, (uint_fast64_t)job << 32);
    if (atomic_load(&pool->sleeping)) { /* one that falls asleep now has looked at the ticket under the lock */
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->begun);
        pthread_mutex_unlock(&pool->lock);
    }
    return job;
}

fj_pool *fj_pool_new(int threads, const int *cpus, int cpu_count) {
    fj_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->worker = calloc((size_t)threads, sizeof *pool->worker);
    pool->cpu = cpu_count > 0 ? cpus[0] : -1;
    pool->threads = 1;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begun, NULL);
    for (int i = 1; pool->worker && i < threads; i++) {
        Worker *worker = &pool->worker[i - 1];
        *worker = (Worker){.pool = pool, .number = i, .cpu = cpu_count > 0 ? cpus[i % cpu_count] : -1};
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) break;
        pool->threads = i + 1;
    }
    if (pool->threads == threads && pool->worker) return pool;
    fj_pool_free(pool);
    return NULL;
}

void fj_pool_free(fj_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, 1);
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->worker[i - 1].thread, NULL);
    pthread_cond_destroy(&pool->begun);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}

int fj_pool_threads(const fj_pool *pool) {
    return pool->threads;
}

void fj_pool_run(fj_pool *pool, fj_task task, void *context, int tasks) {
    if (!atomic_exchange(&pool->pinned, 1)) pin(pool->cpu);
    if (pool->threads == 1 || tasks == 1) {
        for (int i = 0; i < tasks; i++) task(context, i, 0);
        return;
    }
    share(pool, begin(pool, task, context, tasks), 0);
    int64_t began_ns = 0;
    while (atomic_load_explicit(&pool->finished, memory_order_acquire) < tasks) {
        if (spun(&began_ns)) sched_yield();
    }
}
