/* Causal attention over whole sequences for training, forward and backward, with scores that never leave the cache.
 *
 * Queries attend to keys at or before them, within `window` positions and within their segment. One task is one
 * key-value head of one sequence, with all the query heads that share it; a block of 64 queries is taken against every
 * key it may see. The forward pass keeps the logarithm of each softmax's sum, and the backward pass makes the weights
 * again from it (FlashAttention, arXiv 2205.14135, algorithms 1 and 4; here a block sees all its keys at once, so
 * nothing is rescaled). Scores above the diagonal are not computed, but for those of a block that lies on it.
 *
 * In the backward pass scores are held transposed, keys as rows: so both P^T dO and dS^T Q read their left side row by
 * row, and dQ^T = K^T dS^T takes the pairs of keys that the processor's bfloat16 product wants without a transposition.
 *
 * Kinds: float32 (AVX-512 or AVX2), bfloat16 (AVX-512 BF16). On other machines model/attend.py uses torch's own.
 */
#include "team.h"
#include "wide.h"

#include <math.h>
#include <stdlib.h>

#define BLOCK 64     /* queries, and in the backward pass keys, in a block */
#define PANEL 32     /* columns of a packed panel: two registers */
#define TILE_ROWS 8

/* Distances, in numbers, between sequences, heads and positions; the numbers of one head lie together. */
typedef struct {
    int64_t sequence, head, position;
} strides;

typedef struct {
    const void *q, *k, *v;
    void *out;
    float *logarithms;       /* [sequences, heads, length] */
    const int32_t *segments; /* [sequences, padded length], or NULL */
    const void *grad_out;
    void *grad_q, *grad_k, *grad_v;
    strides q_at, kv_at, out_at, grad_q_at, grad_kv_at; /* grad_out lies as out does */
    int64_t sequences, heads, kv_heads, length, width, window; /* window 0: none */
    float scale;
    int32_t half, threads;
} attention;

static inline int64_t padded_length(int64_t length)
{
    return (length + BLOCK - 1) / BLOCK * BLOCK;
}

INLINE wide_int wide_all_int(int32_t value)
{
    return (wide_int){0} + value;
}

INLINE wide_int lanes_from(int32_t first)
{
    return (wide_int){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + first;
}

INLINE wide_int load_int(const int32_t *from)
{
    return *(const wide_int *)from;
}

/* Positions of queries and keys and their segments -> all ones where the query sees the key. */
INLINE wide_int may_see(
    const attention *a, const int32_t *segments, wide_int query, wide_int key, wide_int of_query, wide_int of_key)
{
    wide_int seen = query >= key;
    if (a->window)
        seen &= query - key < (int32_t)a->window;
    if (segments)
        seen &= of_query == of_key;
    return seen;
}

INLINE wide hidden(wide value, wide_int seen, float filler)
{
    return (wide)(((wide_int)value & seen) | ((wide_int)wide_all(filler) & ~seen));
}

/* Two rows of sixteen as sixteen pairs of bfloat16, or one row as float32. */
INLINE void store_pairs(void *to, const wide *rows, int half)
{
    if (!half) {
        wide_store(to, 0, rows[0], 0);
        return;
    }
    wide_bits first = (wide_bits)rows[0], second = (wide_bits)rows[1];
    first += 0x7fff + ((first >> 16) & 1);
    second += 0x7fff + ((second >> 16) & 1);
    *(wide_bits *)to = (first >> 16) | (second & 0xffff0000u);
}

#define at(tensor, where, sequence, index)                                                                             \
    ((void *)((char *)(tensor) + NUMBER_BYTES * ((sequence) * (where)->sequence + (index) * (where)->head)))

#if defined(__x86_64__) && defined(__GNUC__)

#define FLOAT_TILE                                                                                                     \
    static void NAME(tile)(const float *a, int64_t a_stride, const float *b, int64_t steps, float *c, int64_t c_stride,  \
        int add)                                                                                                       \
    {                                                                                                                  \
        wide sums[TILE_ROWS][2];                                                                                       \
        _Pragma("GCC unroll 8") for (int row = 0; row < TILE_ROWS; row++)                                              \
        {                                                                                                              \
            sums[row][0] = add ? wide_load(c, row * c_stride, 0) : (wide){0};                                          \
            sums[row][1] = add ? wide_load(c, row * c_stride + WIDE, 0) : (wide){0};                                   \
        }                                                                                                              \
        for (int64_t step = 0; step < steps; step++) {                                                                 \
            wide first = wide_load(b, step * PANEL, 0), second = wide_load(b, step * PANEL + WIDE, 0);                 \
            _Pragma("GCC unroll 8") for (int row = 0; row < TILE_ROWS; row++)                                          \
            {                                                                                                          \
                wide value = wide_all(a[row * a_stride + step]);                                                       \
                sums[row][0] += value * first;                                                                         \
                sums[row][1] += value * second;                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("GCC unroll 8") for (int row = 0; row < TILE_ROWS; row++)                                              \
        {                                                                                                              \
            wide_store(c, row * c_stride, sums[row][0], 0);                                                            \
            wide_store(c, row * c_stride + WIDE, sums[row][1], 0);                                                     \
        }                                                                                                              \
    }

#define NUMBER float
#define NUMBER_BYTES 4
#define HALF 0
#define PAIR 1

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define NAME(x) x##_avx2
FLOAT_TILE
#include "attend_body.h"
#undef NAME
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#define NAME(x) x##_avx512
FLOAT_TILE
#include "attend_body.h"
#undef NAME
#pragma GCC pop_options

#undef NUMBER
#undef NUMBER_BYTES
#undef HALF
#undef PAIR
#define NUMBER uint16_t
#define NUMBER_BYTES 2
#define HALF 1
#define PAIR 2

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
#define NAME(x) x##_bf16
static void NAME(tile)(
    const uint16_t *a, int64_t a_stride, const uint16_t *b, int64_t steps, float *c, int64_t c_stride, int add)
{
    __m512 sums[TILE_ROWS][2];
#pragma GCC unroll 8
    for (int row = 0; row < TILE_ROWS; row++) {
        sums[row][0] = add ? _mm512_loadu_ps(c + row * c_stride) : _mm512_setzero_ps();
        sums[row][1] = add ? _mm512_loadu_ps(c + row * c_stride + WIDE) : _mm512_setzero_ps();
    }
    for (int64_t step = 0; step < steps; step++) {
        __m512bh first = (__m512bh)_mm512_loadu_si512(b + step * 2 * PANEL);
        __m512bh second = (__m512bh)_mm512_loadu_si512(b + step * 2 * PANEL + PANEL);
#pragma GCC unroll 8
        for (int row = 0; row < TILE_ROWS; row++) {
            int32_t pair;
            memcpy(&pair, a + row * a_stride + 2 * step, sizeof pair);
            __m512bh value = (__m512bh)_mm512_set1_epi32(pair);
            sums[row][0] = _mm512_dpbf16_ps(sums[row][0], value, first);
            sums[row][1] = _mm512_dpbf16_ps(sums[row][1], value, second);
        }
    }
#pragma GCC unroll 8
    for (int row = 0; row < TILE_ROWS; row++) {
        _mm512_storeu_ps(c + row * c_stride, sums[row][0]);
        _mm512_storeu_ps(c + row * c_stride + WIDE, sums[row][1]);
    }
}
#include "attend_body.h"
#undef NAME
#pragma GCC pop_options

typedef struct {
    team_work forward, backward;
} passes;

static passes choose(int half)
{
    __builtin_cpu_init();
    int wide_registers = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (half)
        return wide_registers && __builtin_cpu_supports("avx512bf16") ? (passes){forward_bf16, backward_bf16}
                                                                       : (passes){0};
    if (wide_registers)
        return (passes){forward_avx512, backward_avx512};
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? (passes){forward_avx2, backward_avx2}
                                                                           : (passes){0};
}

#else

typedef struct {
    team_work forward, backward;
} passes;

static passes choose(int half)
{
    (void)half;
    return (passes){0};
}

#endif

/* 1 when this machine has the kernels for this kind of number. */
int32_t orfevre_attend_supported(int32_t half)
{
    return choose(half).forward != NULL;
}

/* `all` says what and where; widths are even. */
void orfevre_attend(const attention *all)
{
    team_run(choose(all->half).forward, all, all->sequences * all->kv_heads, 1, all->threads);
}

void orfevre_attend_backward(const attention *all)
{
    team_run(choose(all->half).backward, all, all->sequences * all->kv_heads, 1, all->threads);
}
