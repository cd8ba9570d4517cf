/* A pool of threads that share one piece of work, for kernels whose calls last microseconds.
 *
 * `pool_run` calls work(context, thread) on every thread, the calling one included (it is thread 0), and returns when
 * all are done. Inside, threads take tasks with `pool_claim` and meet at `pool_barrier`. A thread that waits spins for
 * SPIN_MICROSECONDS, then sleeps, so that an idle pool costs nothing and a busy machine is not held up for long.
 *
 * Beside team.h, and not instead of it: a decoding step meets at nine barriers a layer, so how threads wait there decides
 * its speed, and OpenMP's way of waiting is set for the whole process. The kernels of training lie between PyTorch's own
 * products, whose threads they borrow.
 *
 * One call at a time: a second thread that calls pool_run waits for the first. A forked child has no workers; there the
 * calling thread does the whole work alone (pool_threads says 1).
 */
#ifndef ORFEVRE_POOL_H
#define ORFEVRE_POOL_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct pool pool;
typedef void (*pool_work)(void *context, int thread);

/* NULL where memory or threads cannot be had. num_threads counts the calling thread; 1 starts none. */
pool *orfevre_pool_create(int32_t num_threads);
/* Ends and frees; not while a run is under way. */
void orfevre_pool_destroy(pool *threads);

void pool_run(pool *threads, pool_work work, void *context);
/* How many threads a run has now. */
int pool_threads(const pool *threads);
/* Every thread of the run waits here for the others; what they wrote before is seen after. Only inside a run. */
void pool_barrier(pool *threads);

/* The next task's number, from 0. Reset the counter to 0 before the run, or between two barriers. Which thread takes a
 * task is chance, so a task must write only what is its own. */
static inline int64_t pool_claim(_Atomic int64_t *next)
{
    return atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
}

#endif
