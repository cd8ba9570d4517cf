/* See sublayers.h. One body for each, instantiated for each level. */
#include "sublayers.h"

#include <math.h>

#include "lanes.h"
#include "products_x86.h"

#define POSITIONS 64 /* of a block of attention: their scores stay in registers and the L1 cache */

INLINE void norm_body(const float *x, const float *weight, int64_t size, float eps, float *y)
{
    lanes squares = {0};
    float rest = 0;
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        squares += load(x + i) * load(x + i);
    for (; i < size; i++)
        rest += x[i] * x[i];
    const float scale = 1.0f / sqrtf((sum(squares) + rest) / (float)size + eps);
    for (i = 0; i + LANES <= size; i += LANES)
        store(y + i, load(x + i) * scale * load(weight + i));
    for (; i < size; i++)
        y[i] = x[i] * scale * weight[i];
}

INLINE void add_body(float *x, const float *y, float scale, int64_t size)
{
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        store(x + i, load(x + i) + scale * load(y + i));
    for (; i < size; i++)
        x[i] += scale * y[i];
}

INLINE void swiglu_body(const float *gate, const float *up, int64_t size, float *y)
{
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES) {
        lanes g = load(gate + i);
        store(y + i, g / (1.0f + exponential(-g)) * load(up + i));
    }
    for (; i < size; i++)
        y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

/* Turn each pair (x[i], x[i + width / 2]) by the position's angle (arXiv 2104.09864, in Hugging Face's order). */
INLINE void rotate(float *x, const float *cos, const float *sin, int64_t width)
{
    for (int64_t i = 0; i < width / 2; i++) {
        float a = x[i], b = x[i + width / 2];
        x[i] = a * cos[i] - b * sin[i];
        x[i + width / 2] = b * cos[i] + a * sin[i];
    }
}

INLINE void keep(void *cache, int64_t at, const float *x, int64_t width, int cache_float)
{
    for (int64_t i = 0; i < width; i++)
        if (cache_float)
            ((float *)cache)[at + i] = x[i];
        else
            ((uint16_t *)cache)[at + i] = to_bfloat16(x[i]);
}

INLINE lanes cached(const void *cache, int64_t at, int cache_float)
{
    return cache_float ? load((const float *)cache + at) : load_bfloat16((const uint16_t *)cache + at);
}

INLINE float cached_one(const void *cache, int64_t at, int cache_float)
{
    return cache_float ? ((const float *)cache)[at] : from_bfloat16(((const uint16_t *)cache)[at]);
}

INLINE float dot(const float *q, const void *keys, int64_t at, int64_t width, int cache_float)
{
    lanes products = {0};
    float rest = 0;
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES)
        products += load(q + i) * cached(keys, at + i, cache_float);
    for (; i < width; i++)
        rest += q[i] * cached_one(keys, at + i, cache_float);
    return sum(products) + rest;
}

/* mixed[i] = mixed[i] * fade + sum over positions of weight[p] * values[p][i], for `count` lanes of i. */
INLINE void mix(float *mixed, float fade, const float *weight, const void *values, int64_t at, int64_t stride,
                int64_t positions, int count, int cache_float)
{
    lanes sums[4];
    for (int i = 0; i < count; i++)
        sums[i] = load(mixed + LANES * i) * fade;
    for (int64_t p = 0; p < positions; p++)
        for (int i = 0; i < count; i++)
            sums[i] += weight[p] * cached(values, at + p * stride + LANES * i, cache_float);
    for (int i = 0; i < count; i++)
        store(mixed + LANES * i, sums[i]);
}

INLINE void mix_all(float *mixed, float fade, const float *weight, const void *values, int64_t at, int64_t width,
                    int64_t positions, int cache_float)
{
    int64_t i = 0;
    for (; i + 4 * LANES <= width; i += 4 * LANES)
        mix(mixed + i, fade, weight, values, at + i, width, positions, 4, cache_float);
    for (; i + LANES <= width; i += LANES)
        mix(mixed + i, fade, weight, values, at + i, width, positions, 1, cache_float);
    for (; i < width; i++) {
        mixed[i] *= fade;
        for (int64_t p = 0; p < positions; p++)
            mixed[i] += weight[p] * cached_one(values, at + p * width + i, cache_float);
    }
}

INLINE void attend_one(const attention *head, const float *q, float *mixed, int cache_float)
{
    const int64_t width = head->width;
    const float scale = 1.0f / sqrtf((float)width);
    float most = -INFINITY, total = 0;
    memset(mixed, 0, 4 * (size_t)width);
    for (int64_t start = head->first; start <= head->position; start += POSITIONS) {
        const int64_t left = head->position + 1 - start, positions = left < POSITIONS ? left : POSITIONS;
        float weight[POSITIONS], before = most;
        for (int64_t p = 0; p < POSITIONS; p++)
            weight[p] = p < positions ? scale * dot(q, head->keys, (start + p) * width, width, cache_float) : -INFINITY;
        for (int p = 0; p < POSITIONS; p += LANES) {
            float top = largest(load(weight + p));
            most = top > most ? top : most;
        }
        lanes sums = {0};
        for (int p = 0; p < POSITIONS; p += LANES) {
            lanes w = exponential(load(weight + p) - most); /* e^-87, as good as 0, where there is no position */
            store(weight + p, w);
            sums += w;
        }
        const float fade = start == head->first ? 0.0f : expf(before - most);
        total = total * fade + sum(sums);
        mix_all(mixed, fade, weight, head->values, start * width, width, positions, cache_float);
    }
    for (int64_t i = 0; i < width; i++)
        mixed[i] /= total;
}

INLINE void remember_body(const attention *head)
{
    const int64_t width = head->width;
    for (int64_t g = 0; g <= head->heads; g++) {
        float *x = g < head->heads ? head->queries + g * width : head->key;
        const float *weight = g < head->heads ? head->query_norm : head->key_norm;
        if (weight)
            norm_body(x, weight, width, head->norm_eps, x);
        rotate(x, head->cos, head->sin, width);
    }
    keep(head->keys, head->position * width, head->key, width, head->cache_float);
    keep(head->values, head->position * width, head->value, width, head->cache_float);
}

INLINE void attend_body(const attention *head)
{
    const int64_t width = head->width;
    for (int64_t g = 0; g < head->heads; g++)
        if (head->cache_float)
            attend_one(head, head->queries + g * width, head->mixed + g * width, 1);
        else
            attend_one(head, head->queries + g * width, head->mixed + g * width, 0);
}

#define INSTANTIATE(NAME, TARGET)                                                                                         \
    TARGET static void norm_##NAME(const float *x, const float *weight, int64_t size, float eps, float *y)                \
    {                                                                                                                     \
        norm_body(x, weight, size, eps, y);                                                                               \
    }                                                                                                                     \
    TARGET static void add_##NAME(float *x, const float *y, float scale, int64_t size) { add_body(x, y, scale, size); }   \
    TARGET static void swiglu_##NAME(const float *gate, const float *up, int64_t size, float *y)                          \
    {                                                                                                                     \
        swiglu_body(gate, up, size, y);                                                                                   \
    }                                                                                                                     \
    TARGET static void remember_##NAME(const attention *head) { remember_body(head); }                                    \
    TARGET static void attend_##NAME(const attention *head) { attend_body(head); }

#define TABLE(NAME) {norm_##NAME, add_##NAME, swiglu_##NAME, remember_##NAME, attend_##NAME}

INSTANTIATE(plain, )
#if X86
INSTANTIATE(avx2, TARGET_AVX2)
INSTANTIATE(avx512, TARGET_AVX512)
#endif

const sublayers *sublayers_at(int level)
{
    static const sublayers tables[NUM_LEVELS] = {
        TABLE(plain),
#if X86
        TABLE(avx2),
        TABLE(avx512),
#endif
    };
    return &tables[level];
}
