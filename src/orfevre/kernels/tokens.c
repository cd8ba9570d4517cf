/* Token ids on their way to a shard, and what a text holds. tokens_numpy.py computes the same numbers. */
#include <stdint.h>
#include <string.h>

#define EACH UINT64_C(0x0101010101010101)

static inline uint64_t eight_bytes(const uint8_t *at)
{
    uint64_t x;
    memcpy(&x, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x); /* the first byte is the lowest, so that "the byte before" is a shift to the left */
#endif
    return x;
}

/* How many of eight bytes, each 0 or 1, are 1. */
static inline int64_t ones(uint64_t x) { return (int64_t)((x * EACH) >> 56); }

/* For each of count texts, text d being text[offset[d] .. offset[d + 1]): code points (bytes that do not continue one)
 * and words (runs of bytes above 0x20). */
void orfevre_count_text(
    const uint8_t *text, const int64_t *offset, int64_t count, int64_t *num_chars, int64_t *num_words)
{
    for (int64_t d = 0; d < count; d++) {
        const uint8_t *at = text + offset[d], *end = text + offset[d + 1];
        int64_t chars = 0, words = 0;
        uint64_t before = 0; /* 1: the byte before is part of a word */
        for (; end - at >= 8; at += 8) {
            uint64_t x = eight_bytes(at);
            uint64_t inside = ((((x & (EACH * 0x7F)) + EACH * 0x5F) | x) >> 7) & EACH;
            uint64_t continues = (x >> 7) & ~(x >> 6) & EACH;
            chars += 8 - ones(continues);
            words += ones(inside & ~(inside << 8 | before));
            before = inside >> 56;
        }
        for (; at < end; at++) {
            uint64_t inside = *at > 0x20;
            chars += (*at & 0xC0) != 0x80;
            words += (int64_t)(inside & ~before);
            before = inside;
        }
        num_chars[d] = chars;
        num_words[d] = words;
    }
}

/* count documents of 32-bit ids, each set between begin and end_id, as 16-bit or (wide) 32-bit ids one after another.
 * Returns all ids or-ed together: below 65,536 exactly if every id fits 16 bits. */
uint32_t orfevre_frame(
    const uint32_t *id, const int64_t *offset, int64_t count, uint32_t begin, uint32_t end_id, int32_t wide, void *out)
{
    uint32_t seen = count ? begin | end_id : 0;
    uint32_t *four = out;
    uint16_t *two = out;
    int64_t place = 0;
    for (int64_t d = 0; d < count; d++) {
        const uint32_t *from = id + offset[d];
        int64_t length = offset[d + 1] - offset[d];
        if (wide) {
            four[place] = begin;
            if (length) memcpy(four + place + 1, from, 4 * (size_t)length);
            four[place + 1 + length] = end_id;
            for (int64_t i = 0; i < length; i++) seen |= from[i];
        } else {
            two[place] = (uint16_t)begin;
            for (int64_t i = 0; i < length; i++) {
                seen |= from[i];
                two[place + 1 + i] = (uint16_t)from[i];
            }
            two[place + 1 + length] = (uint16_t)end_id;
        }
        place += length + 2;
    }
    return seen;
}

/* For each of count documents, how many bytes its ids spell; id i spells size[i], an id of num_sizes or above none. */
void orfevre_spelled_bytes(
    const uint32_t *id, const int64_t *offset, int64_t count, const uint16_t *size, int64_t num_sizes, int64_t *bytes)
{
    for (int64_t d = 0; d < count; d++) {
        int64_t sum = 0;
        for (int64_t i = offset[d]; i < offset[d + 1]; i++)
            if (id[i] < (uint64_t)num_sizes) sum += size[id[i]];
        bytes[d] = sum;
    }
}
