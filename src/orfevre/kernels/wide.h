/* Sixteen floats at a time, in GCC's portable vectors: one source for AVX-512, AVX2 and plain machines.
 *
 * `half` says that numbers lie in memory as bfloat16 (rounded to nearest even on the way out) rather than float32. It is
 * a constant wherever these are inlined, so that it costs nothing.
 */
#ifndef ORFEVRE_WIDE_H
#define ORFEVRE_WIDE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* vectors passed between functions that are inlined anyway have no ABI to warn about */
#pragma GCC diagnostic ignored "-Wpsabi"
/* one rounding for a product and its sum, and square roots without errno: both vectorise */
#pragma GCC optimize("fp-contract=fast", "no-math-errno")

#define WIDE 16
#define INLINE static inline __attribute__((always_inline))

typedef float wide __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t wide_bits __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t wide_int __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t half_bits __attribute__((vector_size(32), aligned(2), may_alias));

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
/* compiled three times, the best one chosen when the library is loaded */
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

INLINE wide wide_all(float value)
{
    return (wide){0} + value;
}

INLINE wide wide_load(const void *from, int64_t index, int half)
{
    if (half) {
        half_bits bits = *(const half_bits *)((const uint16_t *)from + index);
        return (wide)(__builtin_convertvector(bits, wide_bits) << 16);
    }
    return *(const wide *)((const float *)from + index);
}

INLINE void wide_store(void *to, int64_t index, wide value, int half)
{
    if (half) {
        wide_bits bits = (wide_bits)value;
        bits += 0x7fff + ((bits >> 16) & 1);
        *(half_bits *)((uint16_t *)to + index) = __builtin_convertvector(bits >> 16, half_bits);
    } else {
        *(wide *)((float *)to + index) = value;
    }
}

INLINE float one_load(const void *from, int64_t index, int half)
{
    if (!half)
        return ((const float *)from)[index];
    uint32_t bits = (uint32_t)((const uint16_t *)from)[index] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

INLINE void one_store(void *to, int64_t index, float value, int half)
{
    if (!half) {
        ((float *)to)[index] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, 4);
    ((uint16_t *)to)[index] = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* The first `count` of sixteen lanes; the rest read as `filler`, and are not written. */
INLINE wide wide_load_some(const void *from, int64_t index, int64_t count, float filler, int half)
{
    float lanes[WIDE];
    wide_store(lanes, 0, wide_all(filler), half);
    size_t size = half ? 2 : 4;
    memcpy(lanes, (const char *)from + (size_t)index * size, (size_t)count * size);
    return wide_load(lanes, 0, half);
}

INLINE void wide_store_some(void *to, int64_t index, int64_t count, wide value, int half)
{
    float lanes[WIDE];
    wide_store(lanes, 0, value, half);
    size_t size = half ? 2 : 4;
    memcpy((char *)to + (size_t)index * size, lanes, (size_t)count * size);
}

INLINE float wide_sum(wide value)
{
    float sum[8], total = 0;
    for (int lane = 0; lane < 8; lane++)
        sum[lane] = value[lane] + value[lane + 8];
    for (int lane = 0; lane < 4; lane++)
        total += sum[lane] + sum[lane + 4];
    return total;
}

INLINE float wide_largest(wide value)
{
    float largest = value[0];
    for (int lane = 1; lane < WIDE; lane++)
        largest = value[lane] > largest ? value[lane] : largest;
    return largest;
}

INLINE wide wide_max(wide a, wide b)
{
    wide_int larger = a > b;
    return (wide)(((wide_int)a & larger) | ((wide_int)b & ~larger));
}

/* e^x within 2 units in the last place; 0 below -87.3 (where float32's normal numbers end), about 1e38 above 88. */
INLINE wide wide_exp(wide x)
{
    wide_int lost = x < -87.3f;
    wide clamped = (wide)(((wide_int)x & ~lost)); /* NaN stays as it is: no comparison holds for it */
    wide_int large = clamped > 88.0f;
    clamped = (wide)(((wide_int)clamped & ~large) | ((wide_int)wide_all(88.0f) & large));
    wide shifted = clamped * 1.44269504f + 12582912.0f; /* 1.5 x 2^23: adding it rounds to an integer in the low bits */
    wide rounded = shifted - 12582912.0f;
    wide rest = clamped - rounded * 0.693359375f + rounded * 2.12194440e-4f; /* x - n ln 2, ln 2 in two parts */
    wide power = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    power = power * rest + 8.3334519073e-3f;
    power = power * rest + 4.1665795894e-2f;
    power = power * rest + 1.6666665459e-1f;
    power = power * rest + 5.0000001201e-1f;
    power = power * (rest * rest) + rest + 1.0f;
    wide scale = (wide)(((wide_bits)shifted + 127) << 23); /* 2^n */
    return (wide)((wide_int)(power * scale) & ~lost);
}

#endif
