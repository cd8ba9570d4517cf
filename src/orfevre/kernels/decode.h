/* B tokens through the whole model in one call: the next of B sequences, or several of a prompt. decode.py mirrors these
 * structs in ctypes.
 *
 * H hidden, N query heads, K key-value heads, D head width, F inner width of an expert, E experts, k experts a token,
 * V vocabulary, C capacity of the cache.
 */
#ifndef ORFEVRE_DECODE_H
#define ORFEVRE_DECODE_H

#include "pool.h"
#include "products.h"

typedef struct {
    const float *attention_norm, *moe_norm; /* [H] */
    const float *query_norm, *key_norm;     /* [D], or NULL for none */
    const float *router_bias;               /* [E], added to choose only, or NULL */
    void *keys, *values;                    /* [slots, K, C, D], float32 or bfloat16 */
    matrix qkv, out;                        /* [(N + 2K) D, H], [H, N D] */
    matrix router;                          /* [E, H] float32 */
    const matrix *w13, *w2;                 /* [E] of [2F, H] (gate above up) and [H, F] */
    matrix shared_w13, shared_w2;           /* an expert that every token meets; no rows where there is none */
} layer;

typedef struct {
    int64_t hidden, num_layers, num_heads, num_kv_heads, head_width, ffn, num_experts, num_chosen, vocab;
    int64_t capacity;    /* C */
    int64_t window;      /* positions that attention looks back on, itself included; 0 is all */
    int64_t sigmoid;     /* scores of experts: 1 sigmoid, 0 softmax */
    int64_t cache_float; /* keys and values: 1 float32, 0 bfloat16 */
    double norm_eps;
    const float *cos, *sin; /* [C, D / 2] */
    matrix embedding;      /* [V, H], FLOAT32 or BFLOAT16 */
    const float *norm;     /* [H] */
    matrix output;         /* [V, H] */
    const layer *layers;
} model;

/* Bytes of scratch that a step of B tokens wants. */
int64_t orfevre_decode_scratch(const model *shape, pool *threads, int64_t num_tokens);

/* ids[b] in [0, V) goes to position positions[b] < C of cache slot slots[b]; no two to the same place. A token attends to
 * its slot up to its own position, so several tokens of one slot may come in one step. Float32 logits [B - first_wanted,
 * V] of the tokens from first_wanted on. `scratch` is aligned to 64 bytes. `forced`, if not NULL, holds the experts to
 * use, int64 [L, B, k]. */
void orfevre_decode_step(const model *shape, pool *threads, int32_t level, int64_t num_tokens, const int64_t *slots,
                         const int64_t *ids, const int64_t *positions, int64_t first_wanted, void *scratch, float *logits,
                         const int64_t *forced);

#endif
