/* See products.h. Portable bodies, instantiated for each level; AVX2 and AVX-512 have bodies of their own where their
 * integer and bfloat16 instructions are worth it. */
#include "products.h"

#include <math.h>

#include "lanes.h"
#include "products_x86.h"

#define TASK_BYTES 32768 /* of weights: a microsecond or two of reading */

static int64_t whole(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

int64_t prepared_bytes(int64_t format, int64_t group, int64_t columns)
{
    if (format == FLOAT32)
        return whole(4 * columns, 64);
    if (format == BFLOAT16)
        return whole(2 * columns, 64);
    return whole(columns, 64) + 2 * whole(4 * (columns / group), 64);
}

int64_t row_bytes(const matrix *w)
{
    if (w->format == FLOAT32)
        return 4 * w->columns;
    if (w->format == BFLOAT16)
        return 2 * w->columns;
    return w->columns / w->group * 2 + w->columns * (w->format == INT8 ? 8 : 4) / 8;
}

int64_t rows_of_a_task(const matrix *w)
{
    int64_t rows = MOST_ROWS;
    while (rows > BLOCK_ROWS && rows * row_bytes(w) > TASK_BYTES)
        rows /= 2;
    return rows;
}

/* ---- bringing a vector to the matrix's precision ---- */

INLINE void prepare_group(const float *x, int64_t group, int32_t zero, int8_t *values, float *scale, int32_t *offset)
{
    lanes most = {0};
    for (int64_t i = 0; i < group; i += LANES) {
        lanes size = absolute(load(x + i));
        most = select(size > most, size, most);
    }
    float top = largest(most);
    *scale = top / 127.0f;
    const lanes inverse = all(top > 0 ? 127.0f / top : 0.0f), rounder = all(12582912.0f);
    integer_lanes total = {0};
    for (int64_t i = 0; i < group; i += LANES) {
        /* adding 1.5 x 2^23 rounds to the nearest integer and leaves it in the low bits */
        integer_lanes rounded = (integer_lanes)float_as_bits(load(x + i) * inverse + rounder) - 0x4B400000;
        total += rounded;
        byte_lanes bytes = __builtin_convertvector(rounded, byte_lanes);
        memcpy(values + i, &bytes, sizeof bytes);
    }
    int32_t sum_of_values = 0;
    for (int i = 0; i < LANES; i++)
        sum_of_values += total[i];
    *offset = -zero * sum_of_values; /* takes back what `zero`, added to every weight, brings in */
}

INLINE void prepare_body(const matrix *w, const float *x, int64_t begin, int64_t end, void *out)
{
    if (w->format == FLOAT32)
        memcpy((float *)out + begin, x + begin, 4 * (size_t)(end - begin));
    else if (w->format == BFLOAT16) {
        int64_t i = begin;
        for (; i + LANES <= end; i += LANES)
            store_bfloat16((uint16_t *)out + i, load(x + i));
        for (; i < end; i++)
            ((uint16_t *)out)[i] = to_bfloat16(x[i]);
    } else {
        int64_t group = w->group;
        prepared p = prepared_at(out, w);
        for (int64_t g = begin / group; g < end / group; g++)
            prepare_group(x + g * group, group, w->format == INT8 ? 128 : 8, (int8_t *)p.values + g * group,
                          (float *)p.scales + g, (int32_t *)p.offsets + g);
    }
}

/* ---- portable products ---- */

INLINE lanes load_weights(const void *w, int64_t at, int64_t format)
{
    return format == FLOAT32 ? load((const float *)w + at) : load_bfloat16((const uint16_t *)w + at);
}

INLINE float one(const void *w, int64_t at, int64_t format)
{
    return format == FLOAT32 ? ((const float *)w)[at] : from_bfloat16(((const uint16_t *)w)[at]);
}

INLINE void float_row(const matrix *w, int64_t format, int64_t row, const void *const *x, int num_vectors, float *y,
                      int64_t stride)
{
    const int64_t start = row * w->columns;
    lanes sums[MOST_VECTORS] = {{0}};
    int64_t c = 0;
    for (; c + LANES <= w->columns; c += LANES) {
        lanes weight = load_weights(w->values, start + c, format);
        for (int v = 0; v < num_vectors; v++)
            sums[v] += weight * load_weights(x[v], c, format);
    }
    for (int v = 0; v < num_vectors; v++) {
        float rest = 0;
        for (int64_t i = c; i < w->columns; i++)
            rest += one(w->values, start + i, format) * one(x[v], i, format);
        y[v * stride] = sum(sums[v]) + rest;
    }
}

/* One block of 16 rows. */
INLINE void integer_block(const matrix *w, int bits, const uint8_t *block, const void *const *x, int num_vectors, float *y,
                          int64_t stride)
{
    const int64_t group = w->group, num_groups = w->columns / group, per_line = 32 / bits;
    lanes sums[MOST_VECTORS] = {{0}};
    for (int64_t g = 0; g < num_groups; g++) {
        const lanes scales = load_bfloat16((const uint16_t *)block);
        block += 2 * BLOCK_ROWS;
        integer_lanes totals[MOST_VECTORS];
        for (int v = 0; v < num_vectors; v++)
            totals[v] = (integer_lanes){0} + prepared_at(x[v], w).offsets[g];
        for (int64_t c = g * group; c < (g + 1) * group; c += per_line, block += 64)
            for (int half = 0; half < per_line / 4; half++)
                for (int v = 0; v < num_vectors; v++) {
                    const int8_t *values = prepared_at(x[v], w).values + c + 4 * half;
                    for (int r = 0; r < BLOCK_ROWS; r++)
                        for (int j = 0; j < 4; j++)
                            totals[v][r] += (bits == 8 ? block[4 * r + j] : (block[4 * r + j] >> 4 * half) & 15) * values[j];
                }
        for (int v = 0; v < num_vectors; v++)
            sums[v] += __builtin_convertvector(totals[v], lanes) * (scales * prepared_at(x[v], w).scales[g]);
    }
    for (int v = 0; v < num_vectors; v++)
        store(y + v * stride, sums[v]);
}

/* The number of vectors is a constant in each call, so that their sums stay in registers. */
#define FOR_EACH_COUNT(CALL)                                                                                              \
    switch (num_vectors) {                                                                                                \
    case 1: CALL(1); break;                                                                                               \
    case 2: CALL(2); break;                                                                                               \
    case 3: CALL(3); break;                                                                                               \
    case 4: CALL(4); break;                                                                                               \
    case 5: CALL(5); break;                                                                                               \
    case 6: CALL(6); break;                                                                                               \
    case 7: CALL(7); break;                                                                                               \
    default: CALL(8);                                                                                                     \
    }

#define ARGUMENTS                                                                                                         \
    const matrix *w, int64_t first, int64_t num_rows, const void *const *x, int num_vectors, float *y, int64_t stride

INLINE const uint8_t *block_at(const matrix *w, int64_t row)
{
    return (const uint8_t *)w->values + row * row_bytes(w);
}

#define FLOAT_ROWS(COUNT, FORMAT, ROW)                                                                                    \
    for (int64_t r = 0; r < num_rows; r++)                                                                                \
    ROW(w, FORMAT, first + r, x, COUNT, y + r, stride)

#define INTEGER_BLOCKS(COUNT, BITS, BLOCK)                                                                                \
    for (int64_t r = 0; r < num_rows; r += BLOCK_ROWS)                                                                    \
    BLOCK(w, BITS, block_at(w, first + r), x, COUNT, y + r, stride)

static void multiply_plain(ARGUMENTS)
{
    switch (w->format) {
    case FLOAT32: FLOAT_ROWS(num_vectors, FLOAT32, float_row); break;
    case BFLOAT16: FLOAT_ROWS(num_vectors, BFLOAT16, float_row); break;
    case INT8: INTEGER_BLOCKS(num_vectors, 8, integer_block); break;
    default: INTEGER_BLOCKS(num_vectors, 4, integer_block);
    }
}

static void prepare_plain(const matrix *w, const float *x, int64_t begin, int64_t end, void *out)
{
    prepare_body(w, x, begin, end, out);
}

#if X86
#define FLOAT32_COUNT(COUNT) FLOAT_ROWS(COUNT, FLOAT32, float_row)
#define BFLOAT16_COUNT(COUNT) FLOAT_ROWS(COUNT, BFLOAT16, float_row)
#define INT8_AVX2(COUNT) INTEGER_BLOCKS(COUNT, 8, integer_block_avx2)
#define INT4_AVX2(COUNT) INTEGER_BLOCKS(COUNT, 4, integer_block_avx2)
#define INT8_AVX512(COUNT) INTEGER_BLOCKS(COUNT, 8, integer_block_avx512)
#define INT4_AVX512(COUNT) INTEGER_BLOCKS(COUNT, 4, integer_block_avx512)
#define BFLOAT16_AVX512(COUNT) bfloat16_rows_avx512(w, first, num_rows, x, COUNT, y, stride)

TARGET_AVX2 static void multiply_avx2(ARGUMENTS)
{
    switch (w->format) {
    case FLOAT32: FOR_EACH_COUNT(FLOAT32_COUNT) break;
    case BFLOAT16: FOR_EACH_COUNT(BFLOAT16_COUNT) break;
    case INT8: FOR_EACH_COUNT(INT8_AVX2) break;
    default: FOR_EACH_COUNT(INT4_AVX2)
    }
}

TARGET_AVX512 static void multiply_avx512(ARGUMENTS)
{
    switch (w->format) {
    case FLOAT32: FOR_EACH_COUNT(FLOAT32_COUNT) break;
    case BFLOAT16: FOR_EACH_COUNT(BFLOAT16_AVX512) break;
    case INT8: FOR_EACH_COUNT(INT8_AVX512) break;
    default: FOR_EACH_COUNT(INT4_AVX512)
    }
}

TARGET_AVX2 static void prepare_avx2(const matrix *w, const float *x, int64_t begin, int64_t end, void *out)
{
    prepare_body(w, x, begin, end, out);
}

TARGET_AVX512 static void prepare_avx512(const matrix *w, const float *x, int64_t begin, int64_t end, void *out)
{
    prepare_body(w, x, begin, end, out);
}
#endif

int32_t orfevre_level(void)
{
#if X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return AVX2;
#endif
    return PLAIN;
}

const products *products_at(int level)
{
    static const products tables[NUM_LEVELS] = {
        {prepare_plain, multiply_plain},
#if X86
        {prepare_avx2, multiply_avx2},
        {prepare_avx512, multiply_avx512},
#endif
    };
    return &tables[level];
}
