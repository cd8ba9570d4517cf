/* Spread rows over the threads that PyTorch's matrix products use.
 *
 * A pool of our own would fight with OpenMP's for the cores, so the kernels of training borrow its team: GOMP_parallel is
 * looked up in the process (libgomp, libomp and libiomp5 export it). Where there is none the calling thread does it all.
 * How rows are cut never changes a result: a kernel writes each row by itself, or sums over blocks of a fixed size.
 */
#ifndef ORFEVRE_TEAM_H
#define ORFEVRE_TEAM_H

#include <stdatomic.h>
#include <stdint.h>

typedef void (*team_work)(const void *arguments, int64_t start, int64_t end);

/* work(arguments, start, end) for pieces of at most `grain` items that together cover 0 .. count. */
void team_run(team_work work, const void *arguments, int64_t count, int64_t grain, int32_t num_threads);

#endif
