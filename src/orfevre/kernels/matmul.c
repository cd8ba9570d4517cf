/* A matrix at rest times many vectors, on all threads: prefill, where weights are quantised. Prepared and summed exactly
 * as in a decoding step, so that a prompt leaves the same cache however it is cut into chunks. */
#include "matmul.h"

#include <string.h>

typedef struct {
    const matrix *w;
    pool *threads;
    const products *products;
    const float *x;
    int64_t num;
    char *prepared;
    float *y;
    _Atomic int64_t next_vectors, next_rows;
} product;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void rows_times_all(const product *p, int64_t first, int64_t count, int64_t bytes)
{
    const matrix *w = p->w;
    _Alignas(64) float part[MOST_VECTORS * MOST_ROWS];
    for (int64_t start = 0; start < p->num; start += MOST_VECTORS) {
        const int tile = (int)least(MOST_VECTORS, p->num - start);
        const void *vectors[MOST_VECTORS] = {NULL};
        for (int v = 0; v < tile; v++)
            vectors[v] = p->prepared + (start + v) * bytes;
        p->products->multiply(w, first, count, vectors, tile, part, MOST_ROWS);
        for (int v = 0; v < tile; v++)
            memcpy(p->y + (start + v) * w->rows + first, part + v * MOST_ROWS, 4 * (size_t)count);
    }
}

static void work(void *context, int thread)
{
    (void)thread;
    product *p = context;
    const matrix *w = p->w;
    const int64_t bytes = prepared_bytes(w->format, w->group, w->columns), rows = rows_of_a_task(w);
    for (int64_t start; (start = MOST_VECTORS * pool_claim(&p->next_vectors)) < p->num;)
        for (int64_t v = start; v < least(start + MOST_VECTORS, p->num); v++)
            p->products->prepare(w, p->x + v * w->columns, 0, w->columns, p->prepared + v * bytes);
    pool_barrier(p->threads);
    for (int64_t first; (first = rows * pool_claim(&p->next_rows)) < w->rows;)
        rows_times_all(p, first, least(rows, w->rows - first), bytes);
}

int64_t orfevre_matmul_scratch(const matrix *w, int64_t num)
{
    return num * prepared_bytes(w->format, w->group, w->columns);
}

void orfevre_matmul(const matrix *w, pool *threads, int32_t level, const float *x, int64_t num, void *scratch, float *y)
{
    product p = {
        .w = w, .threads = threads, .products = products_at(level), .x = x, .num = num, .prepared = scratch, .y = y};
    pool_run(threads, work, &p);
}
