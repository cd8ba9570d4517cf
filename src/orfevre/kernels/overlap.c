/* Which word n-grams of an index occur in documents. overlap_numpy.py computes the same numbers.
 *
 * Words: a table says for each code point below 0x20000 which units (16 bits each, up to three) it adds to a word;
 * nothing ends the word, SKIP leaves it as it is (accents written apart), ALONE makes a word of the character by itself
 * (scripts that are written without spaces). Above, 0x20000 to 0x3FFFF are ideographs, the rest ends the word. Bytes
 * that are no UTF-8 end the word.
 *
 * A word's hash is its units in base WORD_BASE, mixed; an n-gram's hash its words in base GRAM_BASE, mixed with n.
 */
#include "mix.h"

#include <stdint.h>
#include <string.h>

#define WORD_BASE UINT64_C(0x9E3779B97F4A7C15)
#define GRAM_BASE UINT64_C(0xD6E8FEB86659FD93)
#define LENGTH_SALT UINT64_C(0xA0761D6478BD642F)

#define TABLE_SIZE 0x20000
#define ALONE (UINT64_C(1) << 63)
#define SKIP (UINT64_C(1) << 62)
#define COUNT_SHIFT 48 /* bits 48 and 49: how many units */

#define MAX_WIDTH 32
#define BLOCK 2048 /* words looked at together: with their hashes 32 KiB, stays in the L1 or L2 cache */

/* A gram is looked for by its head, its first `head_width` words: a blocked Bloom filter (two bits of one word), then
 * the sorted heads, then the grams of each length. */
typedef struct {
    const uint64_t *gram, *head; /* sorted, no two equal */
    int64_t num_grams, num_heads;
    const uint64_t *filter; /* word (hash >> shift), bits (hash & 63) and (hash >> 6 & 63) */
    const int32_t *length; /* of grams, in words, rising; the last at most MAX_WIDTH */
    int32_t shift, head_width, num_lengths;
} orfevre_overlap_index;

typedef struct {
    int64_t *document, *gram;
    int64_t capacity, count, current;
} hits;

/* The code point at `at` (a byte >= 0x80) and its length; -1 and 1 where it is not UTF-8. */
static inline int32_t decode(const uint8_t *at, const uint8_t *end, int *length)
{
    uint32_t lead = *at, point = 0, least = 0;
    int more = lead < 0xC2 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 0;
    *length = 1;
    if (!more || end - at <= more) return -1;
    point = lead & (0x3Fu >> more);
    least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xC0) != 0x80) return -1;
        point = point << 6 | (at[i] & 0x3F);
    }
    if (point < least || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return -1;
    *length = more + 1;
    return (int32_t)point;
}

static inline uint64_t entry_of(int32_t point, const uint64_t *fold)
{
    if (point < 0) return 0;
    if (point < TABLE_SIZE) return fold[point];
    if (point >= 0x40000) return 0;
    return ALONE | UINT64_C(2) << COUNT_SHIFT | (uint64_t)(0x7000 + (point >> 16)) << 16 | (uint64_t)(point & 0xFFFF);
}

static inline uint64_t add_units(uint64_t hash, uint64_t entry)
{
    int count = (int)(entry >> COUNT_SHIFT & 3);
    for (int i = 0; i < count; i++) hash = hash * WORD_BASE + (entry >> 16 * i & 0xFFFF);
    return hash;
}

/* Hashes of the words from *from on, at most `room` (at least 2); moves *from behind them. */
static int64_t fill_words(const uint8_t **from, const uint8_t *end, const uint64_t *fold, uint64_t *word, int64_t room)
{
    const uint8_t *at = *from;
    int64_t count = 0;
    while (at < end && count + 2 <= room) {
        uint64_t hash = 0;
        int open = 0;
        while (at < end) {
            uint64_t entry;
            int length = 1;
            if (*at < 0x80) {
                uint64_t letter; /* ASCII folds to one unit or none */
                for (; at < end && *at < 0x80 && (letter = fold[*at] & 0xFFFF); at++, open = 1)
                    hash = hash * WORD_BASE + letter;
                if (at == end || *at >= 0x80) continue;
                at++;
                if (open) break;
                continue;
            }
            entry = entry_of(decode(at, end, &length), fold);
            at += length;
            if (entry & SKIP) continue;
            if (!entry) {
                if (open) break;
                continue;
            }
            if (entry & ALONE) {
                if (open) word[count++] = mix(hash);
                hash = add_units(0, entry);
                open = 1;
                break;
            }
            hash = add_units(hash, entry);
            open = 1;
        }
        if (open) word[count++] = mix(hash);
    }
    *from = at;
    return count;
}

static inline int may_hold(const orfevre_overlap_index *index, uint64_t hash)
{
    uint64_t bits = index->filter[hash >> index->shift];
    return (int)(bits >> (hash & 63) & bits >> (hash >> 6 & 63) & 1);
}

/* Place of `hash` among sorted hashes, -1 where it is not. */
static int64_t place_of(const uint64_t *sorted, int64_t length, uint64_t hash)
{
    const uint64_t *base = sorted;
    while (length > 1) {
        int64_t half = length >> 1;
        base += base[half] <= hash ? half : 0;
        length -= half;
    }
    return length == 1 && *base == hash ? base - sorted : -1;
}

/* Every gram of the index that starts at `word`, of which `left` words remain. */
static void look_up(const orfevre_overlap_index *index, const uint64_t *word, int64_t left, hits *found)
{
    uint64_t h = 0;
    int32_t read = 0;
    for (int32_t l = 0; l < index->num_lengths && index->length[l] <= left; l++) {
        while (read < index->length[l]) h = h * GRAM_BASE + word[read++];
        int64_t place = place_of(index->gram, index->num_grams, mix(h ^ (uint64_t)read * LENGTH_SALT));
        if (place < 0) continue;
        if (found->count < found->capacity) {
            found->document[found->count] = found->current;
            found->gram[found->count] = place;
        }
        found->count++;
    }
}

/* hash[p] of the `length` words from p on, for p below `starts`; the words must be there. */
static void roll(const uint64_t *word, int64_t starts, int32_t length, uint64_t *hash)
{
    uint64_t power = 1, h = 0;
    if (starts < 1) return;
    for (int32_t i = 1; i < length; i++) power *= GRAM_BASE;
    for (int32_t i = 0; i < length - 1; i++) h = h * GRAM_BASE + word[i];
    for (int64_t p = 0; p < starts; p++) {
        h = h * GRAM_BASE + word[p + length - 1];
        hash[p] = mix(h ^ (uint64_t)length * LENGTH_SALT);
        h -= word[p] * power;
    }
}

/* Grams that start at words [0, starts); those longer than what is left of `count` words do not exist. */
static void scan(const orfevre_overlap_index *index, const uint64_t *word, int64_t count, int64_t starts, hits *found)
{
    uint64_t hash[BLOCK + MAX_WIDTH];
    int64_t whole = count - index->head_width + 1 < starts ? count - index->head_width + 1 : starts;
    roll(word, whole, index->head_width, hash);
    for (int64_t p = 0; p < whole; p++)
        if (may_hold(index, hash[p]) && place_of(index->head, index->num_heads, hash[p]) >= 0)
            look_up(index, word + p, count - p, found);
}

/* Occurrences of the index's grams, document by document: `hit_document` and `hit_gram` int64 [capacity].
 * Document d is text[offset[d] .. offset[d + 1]]. Returns how many there are; more than `capacity`: call again. */
int64_t orfevre_overlap(const uint8_t *text, const int64_t *offset, int64_t num_documents, const uint64_t *fold,
                        const orfevre_overlap_index *index, int64_t *hit_document, int64_t *hit_gram, int64_t capacity)
{
    uint64_t word[BLOCK + MAX_WIDTH];
    hits found = {.document = hit_document, .gram = hit_gram, .capacity = capacity, .count = 0, .current = 0};
    const int64_t tail = index->num_lengths ? index->length[index->num_lengths - 1] - 1 : 0;
    for (int64_t d = 0; d < num_documents; d++) {
        const uint8_t *at = text + offset[d], *end = text + offset[d + 1];
        int64_t held = 0;
        found.current = d;
        for (;;) {
            int64_t count = held + fill_words(&at, end, fold, word + held, BLOCK + MAX_WIDTH - held);
            int last = at >= end;
            int64_t starts = last ? count : count - tail;
            if (starts > 0) scan(index, word, count, starts, &found);
            if (last) break;
            held = count < tail ? count : tail;
            memmove(word, word + count - held, (size_t)held * sizeof *word);
        }
    }
    return found.count;
}

/* Word hashes uint64 of many texts, one after another into `word` (room for a word every byte), and how many each has:
 * `count` int64 [num_texts]. */
void orfevre_word_hashes(const uint8_t *text, const int64_t *offset, int64_t num_texts, const uint64_t *fold,
                         uint64_t *word, int64_t *count)
{
    int64_t made = 0;
    for (int64_t d = 0; d < num_texts; d++) {
        const uint8_t *at = text + offset[d], *end = text + offset[d + 1];
        int64_t own = 0;
        while (at < end) own += fill_words(&at, end, fold, word + made + own, end - at + 2);
        count[d] = own;
        made += own;
    }
}
