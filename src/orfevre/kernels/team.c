#define _GNU_SOURCE
#include "team.h"

#include <dlfcn.h>
#include <stddef.h>

typedef void (*gomp_parallel)(void (*body)(void *), void *context, unsigned num_threads, unsigned flags);

typedef struct {
    team_work work;
    const void *arguments;
    int64_t count, grain;
    _Atomic int64_t next;
} job;

static void take(void *context)
{
    job *all = context;
    for (;;) {
        int64_t start = atomic_fetch_add_explicit(&all->next, 1, memory_order_relaxed) * all->grain;
        if (start >= all->count)
            return;
        int64_t end = start + all->grain;
        all->work(all->arguments, start, end < all->count ? end : all->count);
    }
}

void team_run(team_work work, const void *arguments, int64_t count, int64_t grain, int32_t num_threads)
{
    static _Atomic(gomp_parallel) found;
    gomp_parallel parallel = atomic_load_explicit(&found, memory_order_relaxed);
    if (parallel == NULL) {
        *(void **)&parallel = dlsym(RTLD_DEFAULT, "GOMP_parallel");
        atomic_store_explicit(&found, parallel, memory_order_relaxed);
    }
    if (num_threads <= 1 || count <= grain || parallel == NULL) {
        if (count > 0)
            work(arguments, 0, count);
        return;
    }
    job all = {work, arguments, count, grain, 0};
    parallel(take, &all, (unsigned)num_threads, 0);
}
