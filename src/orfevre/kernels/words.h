/* Words of UTF-8 text, and 64-bit hashes of them: shared by the text kernels. minhash_numpy.py has the same rules.
 *
 * A word is a run of ASCII letters, ASCII digits and bytes >= 0x80, so that a non-ASCII character counts as a letter,
 * with these exceptions (the fold), found as byte patterns, so that bytes that are no UTF-8 do no harm:
 *   separators    U+0080-U+00BF except the letters U+00AA, U+00B5, U+00BA; U+00D7, U+00F7; U+2000-U+206F (dashes,
 *                 typographic quotes, spaces); U+3000-U+3002
 *   lower-cased   ASCII, U+00C0-U+00DE, Greek U+0391-U+03AB, Cyrillic U+0400-U+042F
 */
#ifndef ORFEVRE_WORDS_H
#define ORFEVRE_WORDS_H

#include "mix.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define WORDS_X86 1
#include <immintrin.h>
#endif

#define WORDS_CHUNK 16384 /* bytes folded at once: text, fold and edges stay in the L1 and L2 caches */
#define WORDS_SLACK 64    /* bytes beyond a fold's end that may be read and written */
#define WORD_FACTOR UINT64_C(0x9E3779B97F4A7C15)

static inline uint64_t load_8(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/* Sixteen bytes a round, the last one padded with zeros (folded words hold no zero, so that is no ambiguity): most words
 * take one round, without a branch that depends on their length. Reads up to 16 bytes beyond the word. */
static inline uint64_t hash_word(const uint8_t *at, int64_t length)
{
    static const uint8_t mask[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    uint64_t h = 0;
    for (;; length -= 16, at += 16) {
        const uint8_t *keep = mask + 16 - (length < 16 ? length : 16);
        h = (h ^ (load_8(at) & load_8(keep))) * WORD_FACTOR;
        h ^= h >> 32;
        h = (h ^ (load_8(at + 8) & load_8(keep + 8))) * WORD_FACTOR;
        h ^= h >> 32;
        if (length <= 16) return h;
    }
}

static inline int is_ascii_letter(uint8_t c) { return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10; }

/* Is there a pattern of the fold that begins with this byte? */
static inline int is_special(uint8_t c)
{
    return c == 0xC2 || c == 0xC3 || c == 0xCE || c == 0xD0 || c == 0xE2 || c == 0xE3;
}

/* Fold the character at text[0 .. left) into out, where its bytes already stand as they are. */
static inline void fold_special(const uint8_t *text, int64_t left, uint8_t *out)
{
    if (left < 2) return;
    uint8_t b = text[1];
    switch (text[0]) {
    case 0xC2:
        if (b >= 0x80 && b <= 0xBF && b != 0xAA && b != 0xB5 && b != 0xBA) out[0] = out[1] = 0;
        break;
    case 0xC3:
        if (b == 0x97 || b == 0xB7) out[0] = out[1] = 0;
        else if (b >= 0x80 && b <= 0x9E) out[1] = b + 0x20;
        break;
    case 0xCE:
        if (b >= 0x91 && b <= 0x9F) out[1] = b + 0x20;
        else if (b >= 0xA0 && b <= 0xAB) out[0] = 0xCF, out[1] = b - 0x20;
        break;
    case 0xD0:
        if (b >= 0x90 && b <= 0x9F) out[1] = b + 0x20;
        else if (b >= 0xA0 && b <= 0xAF) out[0] = 0xD1, out[1] = b - 0x20;
        else if (b >= 0x80 && b <= 0x8F) out[0] = 0xD1, out[1] = b + 0x10;
        break;
    case 0xE2:
        if (left >= 3 && text[2] >= 0x80 && ((b == 0x80 && text[2] <= 0xBF) || (b == 0x81 && text[2] <= 0xAF)))
            out[0] = out[1] = out[2] = 0;
        break;
    default:
        if (left >= 3 && b == 0x80 && text[2] >= 0x80 && text[2] <= 0x82) out[0] = out[1] = out[2] = 0;
    }
}

static inline void fold_plain(const uint8_t *text, int64_t length, int64_t left, uint8_t *out)
{
    for (int64_t i = 0; i < length; i++) {
        uint8_t c = text[i];
        out[i] = c >= 0x80 || (uint8_t)(c - '0') < 10 ? c : is_ascii_letter(c) ? c | 0x20 : 0;
    }
    for (int64_t i = 0; i < length; i++)
        if (is_special(text[i])) fold_special(text + i, left - i, out + i);
}

/* Where words begin and end in a folded chunk: begin, end, begin, end ... Returns how many edges. */
static inline int64_t edges_plain(const uint8_t *fold, int64_t length, int64_t *edge)
{
    int64_t count = 0;
    int inside = 0;
    for (int64_t i = 0; i < length; i++)
        if ((fold[i] != 0) != inside) {
            edge[count++] = i;
            inside = !inside;
        }
    if (inside) edge[count++] = length;
    return count;
}

#ifdef WORDS_X86
__attribute__((target("avx2"))) static inline __m256i fold_32(__m256i c)
{
    __m256i lower = _mm256_or_si256(c, _mm256_set1_epi8(0x20));
    __m256i letter = _mm256_sub_epi8(lower, _mm256_set1_epi8('a')), digit = _mm256_sub_epi8(c, _mm256_set1_epi8('0'));
    letter = _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(25)), letter);
    digit = _mm256_cmpeq_epi8(_mm256_min_epu8(digit, _mm256_set1_epi8(9)), digit);
    __m256i other = _mm256_or_si256(digit, _mm256_cmpgt_epi8(_mm256_setzero_si256(), c)); /* or a byte >= 0x80 */
    return _mm256_or_si256(_mm256_and_si256(letter, lower), _mm256_and_si256(other, c));
}

__attribute__((target("avx2"))) static inline uint32_t special_32(__m256i c)
{
    __m256i found = _mm256_setzero_si256();
    const uint8_t lead[] = {0xC2, 0xC3, 0xCE, 0xD0, 0xE2, 0xE3};
    for (int i = 0; i < 6; i++) found = _mm256_or_si256(found, _mm256_cmpeq_epi8(c, _mm256_set1_epi8((char)lead[i])));
    return (uint32_t)_mm256_movemask_epi8(found);
}

__attribute__((target("avx2,bmi"))) static inline void fold_avx2(const uint8_t *text, int64_t length, int64_t left,
                                                                 uint8_t *out)
{
    int64_t whole = length & ~(int64_t)31;
    for (int64_t i = 0; i < whole; i += 32) {
        __m256i c = _mm256_loadu_si256((const __m256i *)(text + i));
        _mm256_storeu_si256((__m256i *)(out + i), fold_32(c));
    }
    fold_plain(text + whole, length - whole, left - whole, out + whole);
    for (int64_t i = 0; i < whole; i += 32) { /* last: a pattern may reach into the next block's bytes */
        __m256i c = _mm256_loadu_si256((const __m256i *)(text + i));
        if (!_mm256_movemask_epi8(c)) continue;
        for (uint32_t special = special_32(c); special; special &= special - 1) {
            int64_t at = i + (int64_t)_tzcnt_u32(special);
            fold_special(text + at, left - at, out + at);
        }
    }
}

__attribute__((target("avx2"))) static inline uint32_t letters_32(const uint8_t *fold)
{
    __m256i c = _mm256_loadu_si256((const __m256i *)fold);
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(c, _mm256_setzero_si256()));
}

/* Writes up to eight edges too many, so that how many there are in a block is no branch to foretell. */
__attribute__((target("avx2,bmi,popcnt"))) static inline int64_t edges_avx2(uint8_t *fold, int64_t length, int64_t *edge)
{
    int64_t count = 0;
    uint64_t inside = 0;
    memset(fold + length, 0, WORDS_SLACK); /* the last block ends in separators, which end a word too */
    for (int64_t i = 0; i <= length; i += 64) {
        uint64_t letters = (uint64_t)letters_32(fold + i) | (uint64_t)letters_32(fold + i + 32) << 32;
        uint64_t turns = letters ^ (letters << 1 | inside);
        int64_t after = count + (int64_t)_mm_popcnt_u64(turns);
        inside = letters >> 63;
        for (; count < after; count += 8)
            for (int k = 0; k < 8; k++, turns &= turns - 1) edge[count + k] = i + (int64_t)_tzcnt_u64(turns);
        count = after;
    }
    return count;
}
#endif

/* Bytes of text[0 .. left) to fold at once: up to an ASCII separator, which no word and no pattern holds. */
static inline int64_t chunk_length(const uint8_t *text, int64_t left)
{
    if (left <= WORDS_CHUNK) return left;
    int64_t length = WORDS_CHUNK;
    while (length > 0 && (text[length - 1] >= 0x80 || is_ascii_letter(text[length - 1]))) length--;
    if (length > 0) return length;
    length = WORDS_CHUNK;
    while (length < left && (text[length] >= 0x80 || is_ascii_letter(text[length]))) length++;
    return length;
}

#endif
