/* Windows of token streams: keyed orders of them, and their tokens. windows.py has the twins and says what each is. */
#include <stdint.h>

#define FIRST UINT64_C(0xBF58476D1CE4E5B9)
#define SECOND UINT64_C(0x94D049BB133111EB)
#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)
#define ROUNDS 16

/* (digit + hash of the other digit) modulo base, which is below 2^32 */
static inline uint64_t added(uint64_t digit, uint64_t other, uint64_t base, uint64_t key)
{
    uint64_t mixed = (other ^ key) * FIRST;
    mixed ^= mixed >> 32;
    mixed *= SECOND;
    mixed = ((mixed >> 32) * base >> 32) + digit;
    return mixed >= base ? mixed - base : mixed;
}

/* number[i] below size[i] to a number below size[i], by the order of key[i]; wide[i] x narrow[i] is at least the size. */
void orfevre_permute(
    const int64_t *number, const int64_t *size, const int64_t *wide, const int64_t *narrow, const uint64_t *key,
    int64_t count, int64_t *out)
{
    for (int64_t i = 0; i < count; i++) {
        uint64_t a = (uint64_t)wide[i], b = (uint64_t)narrow[i], at = (uint64_t)number[i];
        do {
            uint64_t left = at / b, right = at - left * b, round_key = key[i];
            for (int r = 0; r < ROUNDS; r += 2) {
                round_key += GOLDEN;
                left = added(left, right, a, round_key);
                round_key += GOLDEN;
                right = added(right, left, b, round_key);
            }
            at = left * b + right;
        } while (at >= (uint64_t)size[i]);
        out[i] = (int64_t)at;
    }
}

/* Row i of out: span ids of stream[source[i]] from start[i] on, at its end again from its beginning. Ids have 16 bits, or
 * 32 (wide). */
void orfevre_gather(
    const void *const *stream, const int64_t *length, const int64_t *source, const int64_t *start, int64_t count,
    int64_t span, int32_t wide, int64_t *out)
{
    for (int64_t i = 0; i < count; i++) {
        const void *from = stream[source[i]];
        const int64_t end = length[source[i]];
        int64_t *row = out + i * span;
        for (int64_t done = 0, at = start[i]; done < span; at = 0) {
            int64_t piece = end - at < span - done ? end - at : span - done;
            if (wide) {
                const uint32_t *ids = (const uint32_t *)from + at;
                for (int64_t j = 0; j < piece; j++) row[done + j] = ids[j];
            } else {
                const uint16_t *ids = (const uint16_t *)from + at;
                for (int64_t j = 0; j < piece; j++) row[done + j] = ids[j];
            }
            done += piece;
        }
    }
}
