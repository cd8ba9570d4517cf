/* What decoding does besides matrix products, on one token at a time: norms, attention over the cache, SwiGLU. */
#ifndef ORFEVRE_SUBLAYERS_H
#define ORFEVRE_SUBLAYERS_H

#include <stdint.h>

/* One key-value head of one sequence. D head width, G query heads that share the key-value head. */
typedef struct {
    float *queries, *key, *value;         /* [G, D], [D], [D]; the first two are normalised and turned in place */
    const float *query_norm, *key_norm;   /* [D], or NULL for none */
    const float *cos, *sin;               /* [D / 2] of this position */
    void *keys, *values;                  /* [C, D] of this head; the new position is written */
    int64_t position, first, heads, width; /* attention looks at positions first .. position */
    float norm_eps;
    int cache_float; /* keys and values: 1 float32, 0 bfloat16 */
    float *mixed;    /* [G, D], what comes out */
} attention;

typedef struct {
    /* y = x / sqrt(mean(x^2) + eps) * weight (arXiv 1910.07467, eq. 4) */
    void (*norm)(const float *x, const float *weight, int64_t size, float eps, float *y);
    /* x += scale * y */
    void (*add)(float *x, const float *y, float scale, int64_t size);
    /* y = silu(gate) * up (arXiv 2002.05202, eq. 5 without biases); y may be gate */
    void (*swiglu)(const float *gate, const float *up, int64_t size, float *y);
    /* norms and RoPE of queries and key; key and value go to the cache */
    void (*remember)(const attention *head);
    /* softmax(q k / sqrt(D)) v, block of positions by block (arXiv 1805.02867, algorithm 3) */
    void (*attend)(const attention *head);
} sublayers;

/* `level` of products.h. */
const sublayers *sublayers_at(int level);

#endif
