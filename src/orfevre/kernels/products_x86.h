/* The inner loops of products.c in x86 instructions, and where a prepared vector keeps its parts. */
#ifndef ORFEVRE_PRODUCTS_X86_H
#define ORFEVRE_PRODUCTS_X86_H

#include "lanes.h"
#include "products.h"

/* A vector prepared for INT8 or INT4: value = values[i] * scales[i / group]. */
typedef struct {
    const int8_t *values;
    const float *scales;
    const int32_t *offsets;
} prepared;

INLINE prepared prepared_at(const void *x, const matrix *w)
{
    const char *base = x;
    int64_t values = (w->columns + 63) / 64 * 64, scales = (4 * (w->columns / w->group) + 63) / 64 * 64;
    return (prepared){(const int8_t *)base, (const float *)(base + values), (const int32_t *)(base + values + scales)};
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define X86 1
#include <immintrin.h>

#define TARGET_AVX2 __attribute__((target("avx2,fma")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vnni,avx2,fma")))
#define INLINE_AVX2 static inline __attribute__((always_inline, target("avx2,fma")))
#define INLINE_AVX512                                                                                                     \
    static inline __attribute__((                                                                                         \
        always_inline, target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vnni,avx2,fma")))

/* How far ahead of the integer products memory is asked for. Of 1024 to 16384 bytes, 1024 was the best or within noise of
 * it in each format (Zen 4). */
#define AHEAD 1024

INLINE_AVX512 __m512bh bfloat16_pairs(const void *from) { return (__m512bh)_mm512_loadu_si512(from); }

/* `rows` (1, 3 or 4) rows of bfloat16 at once, so that each load of a vector serves several rows. */
INLINE_AVX512 void bfloat16_tile_avx512(const uint16_t *w, int64_t columns, int rows, const void *const *x, int num_vectors,
                                        float *y, int64_t stride)
{
    __m512 sums[4][MOST_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < num_vectors; v++)
            sums[r][v] = _mm512_setzero_ps();
    int64_t c = 0;
    for (; c + 32 <= columns; c += 32) {
        __m512bh weights[4];
        for (int r = 0; r < rows; r++) {
            weights[r] = bfloat16_pairs(w + r * columns + c);
            /* the same place in the next tile */
            _mm_prefetch((const char *)(w + (r + rows) * columns + c), _MM_HINT_T1);
        }
        for (int v = 0; v < num_vectors; v++) {
            __m512bh pairs = bfloat16_pairs((const uint16_t *)x[v] + c);
            for (int r = 0; r < rows; r++)
                sums[r][v] = _mm512_dpbf16_ps(sums[r][v], weights[r], pairs);
        }
    }
    if (c < columns) {
        const __mmask32 rest = (__mmask32)((UINT64_C(1) << (columns - c)) - 1);
        for (int v = 0; v < num_vectors; v++) {
            __m512bh pairs = (__m512bh)_mm512_maskz_loadu_epi16(rest, (const uint16_t *)x[v] + c);
            for (int r = 0; r < rows; r++)
                sums[r][v] = _mm512_dpbf16_ps(
                    sums[r][v], (__m512bh)_mm512_maskz_loadu_epi16(rest, w + r * columns + c), pairs);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < num_vectors; v++)
            y[v * stride + r] = _mm512_reduce_add_ps(sums[r][v]);
}

INLINE_AVX512 void bfloat16_rows_avx512(const matrix *w, int64_t first, int64_t num_rows, const void *const *x,
                                        int num_vectors, float *y, int64_t stride)
{
    const uint16_t *start = (const uint16_t *)w->values + first * w->columns;
    /* One vector alone is bound by memory, and a core reads one row after another faster than four side by side (34
     * against 31 GB/s on two cores of Zen 4; four without prefetch: 26). */
    const int rows = num_vectors == 1 ? 1 : num_vectors <= 4 ? 4 : 3;
    int64_t r = 0;
    for (; r + rows <= num_rows; r += rows)
        bfloat16_tile_avx512(start + r * w->columns, w->columns, rows, x, num_vectors, y + r, stride);
    for (; r < num_rows; r++)
        bfloat16_tile_avx512(start + r * w->columns, w->columns, 1, x, num_vectors, y + r, stride);
}

/* One block of 16 rows: sixteen rows' sums of four products each, an instruction. */
INLINE_AVX512 void integer_block_avx512(const matrix *w, int bits, const uint8_t *block, const void *const *x,
                                        int num_vectors, float *y, int64_t stride)
{
    const int64_t group = w->group, num_groups = w->columns / group;
    const __m512i low = _mm512_set1_epi8(15);
    __m512 sums[MOST_VECTORS];
    for (int v = 0; v < num_vectors; v++)
        sums[v] = _mm512_setzero_ps();
    for (int64_t g = 0; g < num_groups; g++) {
        const __m512 weight_scales = (__m512)load_bfloat16((const uint16_t *)block);
        block += 2 * BLOCK_ROWS;
        __m512i totals[MOST_VECTORS], others[MOST_VECTORS];
        for (int v = 0; v < num_vectors; v++) {
            totals[v] = _mm512_set1_epi32(prepared_at(x[v], w).offsets[g]);
            others[v] = _mm512_setzero_si512();
        }
        for (int64_t c = g * group; c < (g + 1) * group; c += 8) {
            __m512i first, second;
            _mm_prefetch((const char *)block + AHEAD, _MM_HINT_T1);
            if (bits == 8) {
                _mm_prefetch((const char *)block + AHEAD + 64, _MM_HINT_T1);
                first = _mm512_loadu_si512(block);
                second = _mm512_loadu_si512(block + 64);
                block += 128;
            } else {
                __m512i both = _mm512_loadu_si512(block);
                first = _mm512_and_si512(both, low);
                second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
                block += 64;
            }
            for (int v = 0; v < num_vectors; v++) {
                int32_t four[2];
                memcpy(four, (const int8_t *)x[v] + c, sizeof four);
                totals[v] = _mm512_dpbusd_epi32(totals[v], first, _mm512_set1_epi32(four[0]));
                if (num_vectors <= 4) /* two chains of sums where registers allow: the instruction takes four cycles */
                    others[v] = _mm512_dpbusd_epi32(others[v], second, _mm512_set1_epi32(four[1]));
                else
                    totals[v] = _mm512_dpbusd_epi32(totals[v], second, _mm512_set1_epi32(four[1]));
            }
        }
        for (int v = 0; v < num_vectors; v++) {
            if (num_vectors <= 4)
                totals[v] = _mm512_add_epi32(totals[v], others[v]);
            __m512 scale = _mm512_set1_ps(prepared_at(x[v], w).scales[g]);
            sums[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[v]), _mm512_mul_ps(weight_scales, scale), sums[v]);
        }
    }
    for (int v = 0; v < num_vectors; v++)
        _mm512_storeu_ps(y + v * stride, sums[v]);
}

/* Four products a row, added to totals: 8 rows' bytes (unsigned) times the same four int8 values. */
INLINE_AVX2 __m256i four_products_avx2(__m256i totals, __m256i weights, __m256i values)
{
    const __m256i low = _mm256_set1_epi16(255);
    __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(values, 8), 8), odd = _mm256_srai_epi16(values, 8);
    totals = _mm256_add_epi32(totals, _mm256_madd_epi16(_mm256_and_si256(weights, low), even));
    return _mm256_add_epi32(totals, _mm256_madd_epi16(_mm256_srli_epi16(weights, 8), odd));
}

INLINE_AVX2 void integer_block_avx2(const matrix *w, int bits, const uint8_t *block, const void *const *x, int num_vectors,
                                    float *y, int64_t stride)
{
    const int64_t group = w->group, num_groups = w->columns / group, per_line = 32 / bits;
    const __m256i low = _mm256_set1_epi8(15);
    lanes sums[MOST_VECTORS] = {{0}};
    for (int64_t g = 0; g < num_groups; g++) {
        const lanes scales = load_bfloat16((const uint16_t *)block);
        block += 2 * BLOCK_ROWS;
        __m256i totals[MOST_VECTORS][2];
        for (int v = 0; v < num_vectors; v++)
            totals[v][0] = totals[v][1] = _mm256_set1_epi32(prepared_at(x[v], w).offsets[g]);
        for (int64_t c = g * group; c < (g + 1) * group; c += per_line, block += 64)
            for (int rows = 0; rows < 2; rows++) {
                __m256i both = _mm256_loadu_si256((const __m256i *)(block + 32 * rows));
                for (int half = 0; half < per_line / 4; half++) {
                    __m256i weights = bits == 8 ? both : _mm256_and_si256(half ? _mm256_srli_epi16(both, 4) : both, low);
                    for (int v = 0; v < num_vectors; v++) {
                        int32_t four;
                        memcpy(&four, prepared_at(x[v], w).values + c + 4 * half, sizeof four);
                        totals[v][rows] = four_products_avx2(totals[v][rows], weights, _mm256_set1_epi32(four));
                    }
                }
            }
        for (int v = 0; v < num_vectors; v++) {
            integer_lanes whole;
            memcpy(&whole, totals[v], sizeof whole);
            sums[v] += __builtin_convertvector(whole, lanes) * (scales * prepared_at(x[v], w).scales[g]);
        }
    }
    for (int v = 0; v < num_vectors; v++)
        store(y + v * stride, sums[v]);
}
#else
#define X86 0
#endif

#endif
