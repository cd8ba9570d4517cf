/* See pool.h. Waiting: spin on a word, then sleep on the one condition variable until the word has changed. */
#define _POSIX_C_SOURCE 200809L
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SPIN_MICROSECONDS 80
#define CACHE_LINE 64

struct pool {
    /* words that threads spin on, each on a cache line of its own */
    _Alignas(CACHE_LINE) _Atomic uint32_t run;   /* goes up when there is work */
    _Alignas(CACHE_LINE) _Atomic uint32_t phase; /* goes up when all have reached a barrier */
    _Alignas(CACHE_LINE) _Atomic uint32_t arrived;
    _Alignas(CACHE_LINE) _Atomic uint32_t sleepers;
    pool_work work; /* NULL ends the workers */
    void *context;
    int num_threads;
    pid_t owner;
    pthread_mutex_t one_run, sleep;
    pthread_cond_t changed;
    pthread_t workers[];
};

typedef struct {
    pool *threads;
    int thread;
} seat;

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void wait_until_changed(pool *threads, _Atomic uint32_t *word, uint32_t old)
{
    int64_t end = 0;
    for (int spins = 0;; spins++) {
        if (atomic_load_explicit(word, memory_order_acquire) != old)
            return;
        pause_briefly();
        if (spins % 64 == 63) {
            int64_t now = microseconds();
            if (end == 0)
                end = now + SPIN_MICROSECONDS;
            else if (now > end)
                break;
        }
    }
    pthread_mutex_lock(&threads->sleep);
    /* counted before the word is read again: `change` writes the word, then reads the count, so one sees the other */
    atomic_fetch_add(&threads->sleepers, 1);
    while (atomic_load(word) == old)
        pthread_cond_wait(&threads->changed, &threads->sleep);
    atomic_fetch_sub(&threads->sleepers, 1);
    pthread_mutex_unlock(&threads->sleep);
}

static void change(pool *threads, _Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    if (atomic_load(&threads->sleepers)) {
        pthread_mutex_lock(&threads->sleep);
        pthread_cond_broadcast(&threads->changed);
        pthread_mutex_unlock(&threads->sleep);
    }
}

int pool_threads(const pool *threads) { return threads->owner == getpid() ? threads->num_threads : 1; }

void pool_barrier(pool *threads)
{
    if (threads->num_threads == 1 || threads->owner != getpid())
        return;
    uint32_t phase = atomic_load(&threads->phase);
    if (atomic_fetch_add(&threads->arrived, 1) + 1 == (uint32_t)threads->num_threads) {
        atomic_store(&threads->arrived, 0);
        change(threads, &threads->phase);
    } else
        wait_until_changed(threads, &threads->phase, phase);
}

static void *serve(void *argument)
{
    seat mine = *(seat *)argument;
    free(argument);
    for (uint32_t run = 0;; run++) {
        wait_until_changed(mine.threads, &mine.threads->run, run);
        if (mine.threads->work == NULL)
            return NULL;
        mine.threads->work(mine.threads->context, mine.thread);
        pool_barrier(mine.threads);
    }
}

void pool_run(pool *threads, pool_work work, void *context)
{
    if (threads->num_threads == 1 || threads->owner != getpid()) {
        work(context, 0);
        return;
    }
    pthread_mutex_lock(&threads->one_run);
    threads->work = work;
    threads->context = context;
    change(threads, &threads->run);
    work(context, 0);
    pool_barrier(threads);
    pthread_mutex_unlock(&threads->one_run);
}

pool *orfevre_pool_create(int32_t num_threads)
{
    if (num_threads < 1)
        return NULL;
    void *room = NULL;
    size_t size = sizeof(pool) + (size_t)num_threads * sizeof(pthread_t);
    if (posix_memalign(&room, CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE))
        return NULL;
    pool *threads = room;
    *threads = (pool){.num_threads = 1, .owner = getpid()};
    pthread_mutex_init(&threads->one_run, NULL);
    pthread_mutex_init(&threads->sleep, NULL);
    pthread_cond_init(&threads->changed, NULL);
    for (; threads->num_threads < num_threads; threads->num_threads++) {
        seat *next = malloc(sizeof *next);
        if (next == NULL)
            break;
        *next = (seat){threads, threads->num_threads};
        if (pthread_create(&threads->workers[threads->num_threads], NULL, serve, next)) {
            free(next);
            break;
        }
    }
    if (threads->num_threads < num_threads) {
        orfevre_pool_destroy(threads);
        return NULL;
    }
    return threads;
}

void orfevre_pool_destroy(pool *threads)
{
    if (threads->owner == getpid() && threads->num_threads > 1) {
        threads->work = NULL;
        change(threads, &threads->run);
        for (int thread = 1; thread < threads->num_threads; thread++)
            pthread_join(threads->workers[thread], NULL);
    }
    pthread_cond_destroy(&threads->changed);
    pthread_mutex_destroy(&threads->sleep);
    pthread_mutex_destroy(&threads->one_run);
    free(threads);
}
