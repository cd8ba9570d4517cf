/* Sixteen floats at a time, in GNU C vectors: one body compiles to AVX-512, AVX2 or plain instructions.
 *
 * Every function here is inlined into a caller that names its target, so the caller decides the instructions.
 */
#ifndef ORFEVRE_LANES_H
#define ORFEVRE_LANES_H

#include <stdint.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline, unused))

/* a vector passed between functions that are inlined anyway has no ABI to warn about */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

typedef float lanes __attribute__((vector_size(64)));
typedef int32_t integer_lanes __attribute__((vector_size(64)));
typedef uint32_t bit_lanes __attribute__((vector_size(64)));
typedef uint16_t half_lanes __attribute__((vector_size(32)));
typedef int8_t byte_lanes __attribute__((vector_size(16)));

INLINE lanes load(const float *from)
{
    lanes x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void store(float *to, lanes x) { memcpy(to, &x, sizeof x); }

INLINE lanes all(float x) { return (lanes){0} + x; }

INLINE lanes bits_as_float(bit_lanes bits)
{
    lanes x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE bit_lanes float_as_bits(lanes x)
{
    bit_lanes bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE lanes load_bfloat16(const uint16_t *from)
{
    half_lanes half;
    memcpy(&half, from, sizeof half);
    return bits_as_float(__builtin_convertvector(half, bit_lanes) << 16);
}

INLINE float from_bfloat16(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Round to nearest, ties to even. */
INLINE uint16_t to_bfloat16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

INLINE void store_bfloat16(uint16_t *to, lanes x)
{
    bit_lanes bits = float_as_bits(x);
    half_lanes half = __builtin_convertvector((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, half_lanes);
    memcpy(to, &half, sizeof half);
}

/* Always added in the same order: halves, quarters, eighths, pairs. */
INLINE float sum(lanes x)
{
    float part[LANES];
    memcpy(part, &x, sizeof part);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++)
            part[i] += part[i + width];
    return part[0];
}

INLINE float largest(lanes x)
{
    float part[LANES];
    memcpy(part, &x, sizeof part);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++)
            part[i] = part[i] > part[i + width] ? part[i] : part[i + width];
    return part[0];
}

INLINE lanes select(integer_lanes where, lanes yes, lanes no)
{
    return bits_as_float(((bit_lanes)where & float_as_bits(yes)) | (~(bit_lanes)where & float_as_bits(no)));
}

INLINE lanes absolute(lanes x) { return bits_as_float(float_as_bits(x) & 0x7FFFFFFFu); }

/* e^x within 2 units in the last place, x held to [-87, 88]; NaN stays NaN. 2^n from the exponent's bits, the rest by a
 * polynomial on [-ln 2 / 2, ln 2 / 2]. */
INLINE lanes exponential(lanes x)
{
    x = select(x < -87.0f, all(-87.0f), x);
    x = select(x > 88.0f, all(88.0f), x);
    const lanes rounder = all(12582912.0f); /* 1.5 x 2^23: adding it leaves the nearest integer in the low bits */
    lanes shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    lanes r = x - n * 0.693359375f + n * 2.12194440e-4f;
    lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    bit_lanes power = (float_as_bits(shifted) << 23) + (127u << 23);
    return p * bits_as_float(power);
}

#endif
