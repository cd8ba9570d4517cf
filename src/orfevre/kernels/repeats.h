/* How much of a text repeats itself: lines and word n-grams, found by 64-bit hashes of their bytes. Two different ones with
 * one hash are as rare as one in 2^64 pairs. */
#ifndef ORFEVRE_REPEATS_H
#define ORFEVRE_REPEATS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "words.h" /* load_8, mix */

#define BYTE_BASE UINT64_C(0x9E3779B97F4A7C55)  /* a word's hash is a polynomial in it, so that hashes of words in a row
                                                   join to the hash of their bytes in a row */
#define WORD_BASE UINT64_C(0xD6E8FEB86659FD93)
#define NUM_POWERS 64

typedef struct {
    uint64_t hash; /* 0 marks an empty place */
    uint32_t count, first;
} gram_place;

/* One text's words, and room for sets. */
typedef struct {
    int64_t num_words, room; /* room: words that the arrays below can hold */
    uint64_t *hash;          /* [num_words]: polynomial of the word's bytes */
    uint64_t *power;         /* [num_words]: BYTE_BASE ^ bytes of the word */
    int64_t *chars;          /* [num_words + 1]: characters in the words before */
    int64_t *start;          /* [num_words + 1]: bytes of the words before */
    uint64_t *gram;          /* [num_words]: scratch */
    uint8_t *flag;           /* [num_words + 1]: what may repeat */
    uint8_t *bytes;          /* the words without white space */
    int64_t room_bytes;
    gram_place *place;       /* scratch table of room_places, a power of two */
    int64_t room_places;
    uint64_t powers[NUM_POWERS];
} repeats;

static inline void repeats_start(repeats *r)
{
    memset(r, 0, sizeof *r);
    r->powers[0] = 1;
    for (int i = 1; i < NUM_POWERS; i++) r->powers[i] = r->powers[i - 1] * BYTE_BASE;
}

static inline void repeats_end(repeats *r)
{
    free(r->hash), free(r->power), free(r->chars), free(r->start), free(r->gram), free(r->flag), free(r->bytes);
    free(r->place);
}

static inline int resize(void **array, int64_t count, size_t size)
{
    void *grown = realloc(*array, (size_t)count * size);
    if (grown) *array = grown;
    return grown != NULL;
}

/* Room for one more word; 0 for want of memory. */
static inline int room_for_word(repeats *r)
{
    if (r->num_words + 1 < r->room) return 1;
    int64_t room = r->room ? 2 * r->room : 4096;
    if (!resize((void **)&r->hash, room, 8) || !resize((void **)&r->power, room, 8) ||
        !resize((void **)&r->chars, room + 1, 8) || !resize((void **)&r->start, room + 1, 8) ||
        !resize((void **)&r->gram, room, 8) || !resize((void **)&r->flag, room + 1, 1))
        return 0;
    r->room = room;
    return 1;
}

/* Empties the list of words and makes room for this many bytes of them; 0 for want of memory. */
static inline int start_words(repeats *r, int64_t num_bytes)
{
    r->num_words = 0;
    if (!room_for_word(r)) return 0;
    r->chars[0] = r->start[0] = 0;
    if (num_bytes <= r->room_bytes) return 1;
    if (!resize((void **)&r->bytes, num_bytes, 1)) return 0;
    r->room_bytes = num_bytes;
    return 1;
}

static inline void add_word(repeats *r, const uint8_t *word, int64_t length, int64_t chars, uint64_t hash)
{
    int64_t w = r->num_words++, left = length;
    uint64_t power = 1;
    for (; left >= NUM_POWERS; left -= NUM_POWERS - 1) power *= r->powers[NUM_POWERS - 1];
    r->hash[w] = hash, r->power[w] = power * r->powers[left];
    r->chars[w + 1] = r->chars[w] + chars, r->start[w + 1] = r->start[w] + length;
    memcpy(r->bytes + r->start[w], word, (size_t)length);
}

/* Bits of the index of an emptied table with room for `count` different hashes; 0 for want of memory. */
static inline int empty_table(repeats *r, int64_t count, size_t size)
{
    int bits = 6;
    int64_t least = count < 1024 ? 4 * count : 2 * count; /* emptier where the table fits the L1 cache */
    while (((int64_t)1 << bits) < least) bits++;
    int64_t places = (int64_t)1 << bits;
    if (places > r->room_places) {
        if (!resize((void **)&r->place, places, sizeof *r->place)) return 0;
        r->room_places = places;
    }
    memset(r->place, 0, (size_t)places * size);
    return bits;
}

static inline uint64_t slot_of(uint64_t hash, int bits) { return (hash * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - bits); }

/* 1 when the hash was in the set already. */
static inline int seen_before(uint64_t *set, int bits, uint64_t hash)
{
    uint64_t last = ((uint64_t)1 << bits) - 1;
    hash += !hash;
    for (uint64_t at = slot_of(hash, bits);; at = (at + 1) & last) {
        if (set[at] == hash) return 1;
        if (!set[at]) {
            set[at] = hash;
            return 0;
        }
    }
}

static inline uint64_t hash_bytes(const uint8_t *at, int64_t length)
{
    uint64_t h = (uint64_t)length * WORD_BASE, rest = 0;
    for (; length >= 8; length -= 8, at += 8) {
        h = (h ^ load_8(at)) * BYTE_BASE;
        h ^= h >> 32;
    }
    for (int64_t i = 0; i < length; i++) rest |= (uint64_t)at[i] << 8 * i;
    return mix(h ^ rest);
}

/* The place of a hash in the table, new (count 0) or not. */
static inline gram_place *place_of(repeats *r, int bits, uint64_t hash)
{
    uint64_t last = ((uint64_t)1 << bits) - 1;
    hash += !hash;
    uint64_t at = slot_of(hash, bits);
    while (r->place[at].hash && r->place[at].hash != hash) at = (at + 1) & last;
    r->place[at].hash = hash;
    return r->place + at;
}

/* Characters of the most frequent n-gram of words joined by a space, times how often it occurs; of several the one that
 * began first. -1 where there are fewer than n words, -2 for want of memory. `gram` holds a hash of each word. An n-gram can
 * repeat only where both (n - 1)-grams in it do: flag has bit n for those that occur twice. */
static inline int64_t top_gram(repeats *r, int n)
{
    int64_t num_grams = r->num_words - n + 1;
    if (num_grams <= 0) return -1;
    int bits = empty_table(r, num_grams, sizeof(gram_place)), before = n > 2 ? 1 << (n - 1) : 0;
    if (!bits) return -2;
    uint32_t most = 1, first = 0;
    for (int64_t i = 0; i < num_grams; i++) {
        if ((r->flag[i] & r->flag[i + 1] & before) != before) continue;
        uint64_t hash = r->gram[i];
        for (int k = 1; k < n; k++) hash = hash * WORD_BASE + r->gram[i + k];
        gram_place *found = place_of(r, bits, hash);
        uint32_t count = ++found->count;
        if (count == 1) {
            found->first = (uint32_t)i;
            continue;
        }
        r->flag[i] |= (uint8_t)(1 << n), r->flag[found->first] |= (uint8_t)(1 << n);
        if (count > most || (count == most && found->first < first)) most = count, first = found->first;
    }
    return (r->chars[first + n] - r->chars[first] + n - 1) * (int64_t)most;
}

/* top[0 .. 3): of 2, 3 and 4 words. 0 for want of memory. */
static inline int top_grams(repeats *r, int64_t *top)
{
    memset(r->flag, 0, (size_t)r->num_words + 1);
    for (int64_t i = 0; i < r->num_words; i++) r->gram[i] = mix(r->hash[i]);
    for (int n = 2; n <= 4; n++) {
        top[n - 2] = top_gram(r, n);
        if (top[n - 2] == -2) return 0;
    }
    return 1;
}

#define HEAD 16 /* bytes */
#define REPEATS_HEAD 1

/* Where an n-gram of five words or more may repeat or be repeated: where its first HEAD bytes occur twice, or it is shorter.
 * Leaves those places in `gram` and returns how many; -1 for want of memory. */
static inline int64_t gather_places(repeats *r)
{
    int64_t count = r->num_words, total = r->start[count], found = 0;
    int bits = empty_table(r, count + 1, sizeof(gram_place));
    if (!bits) return -1;
    memset(r->flag, 0, (size_t)count + 1);
    for (int64_t i = 0; i < count && r->start[i] + HEAD <= total; i++) {
        const uint8_t *head = r->bytes + r->start[i];
        gram_place *place = place_of(r, bits, mix(load_8(head) * WORD_BASE + load_8(head + 8)));
        if (place->count++) r->flag[i] = r->flag[place->first] = REPEATS_HEAD;
        else place->first = (uint32_t)i;
    }
    for (int64_t i = 0; i + 5 <= count; i++)
        if (r->flag[i] || r->start[i + 5] - r->start[i] < HEAD) r->gram[found++] = (uint64_t)i;
    return found;
}

/* Characters in n-grams that occurred before, read from left to right without overlap, for n of 5 to 10: duplicate[0 .. 6).
 * n-grams are compared by their bytes without spaces. 0 for want of memory. */
static inline int duplicate_grams(repeats *r, int64_t *duplicate)
{
    int64_t count = r->num_words, num_places = gather_places(r);
    if (num_places < 0) return 0;
    for (int n = 5; n <= 10; n++) {
        int64_t chars = 0, next = 0; /* next: the first word that no n-gram has taken */
        int bits = empty_table(r, num_places + 1, sizeof(uint64_t));
        if (!bits) return 0;
        for (int64_t p = 0; p < num_places; p++) {
            int64_t i = (int64_t)r->gram[p];
            if (i < next) continue;
            if (i + n > count) break;
            uint64_t hash = 0;
            for (int k = 0; k < n; k++) hash = hash * r->power[i + k] + r->hash[i + k];
            if (seen_before((uint64_t *)r->place, bits, hash)) {
                chars += r->chars[i + n] - r->chars[i];
                next = i + n;
            }
        }
        duplicate[n - 5] = chars;
    }
    return 1;
}

#endif
