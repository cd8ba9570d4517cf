/* Text kernels with a plain C ABI, loaded by ctypes (native.py): MinHash signatures, shingles, and what sets
 * of shingles share. minhash_numpy.py computes the same numbers. What a word is, words.h says.
 *
 * A shingle is five words in a row; a text of one to four words is one shingle.
 */
#include <stdlib.h>

#include "words.h"

#define WORDS_PER_SHINGLE 5
#define BLOCK 2048 /* shingles hashed before the signature is updated: 16 KiB */
#define LANES 16   /* signature values updated together where the width is no multiple of more */

#define SHINGLE_BASE UINT64_C(0xD6E8FEB86659FD93)

enum { PLAIN, AVX2, AVX512 };

static int level_limit = AVX512;

#ifdef WORDS_X86
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
}
#endif

/* Use no instructions beyond this level (0 plain, 1 AVX2, 2 AVX-512): tests compare the levels. Returns the one used. */
int32_t orfevre_text_level(int32_t limit)
{
    level_limit = limit;
#ifdef WORDS_X86
    __builtin_cpu_init();
    if (limit >= AVX512 && __builtin_cpu_supports("avx512f") && has_avx2()) return AVX512;
    if (limit >= AVX2 && has_avx2()) return AVX2;
#endif
    return PLAIN;
}

/* value[j] = min(value[j], min over i of multiplier[j] * (shingle[i] >> 32) + addend[j] mod 2^32) */
#define LOWER_ARGUMENTS                                                                                                   \
    const uint64_t *shingle, int64_t num_shingles, const uint32_t *multiplier, const uint32_t *addend,                    \
        int32_t num_values, uint32_t *value

#define LOWER_BODY                                                                                                        \
    int32_t j = 0;                                                                                                        \
    for (; j + LANES <= num_values; j += LANES) {                                                                         \
        uint32_t a[LANES], b[LANES], low[LANES];                                                                          \
        memcpy(a, multiplier + j, sizeof a);                                                                              \
        memcpy(b, addend + j, sizeof b);                                                                                  \
        memcpy(low, value + j, sizeof low);                                                                               \
        for (int64_t i = 0; i < num_shingles; i++) {                                                                      \
            uint32_t x = (uint32_t)(shingle[i] >> 32);                                                                    \
            for (int l = 0; l < LANES; l++) {                                                                             \
                uint32_t v = a[l] * x + b[l];                                                                             \
                low[l] = v < low[l] ? v : low[l];                                                                         \
            }                                                                                                             \
        }                                                                                                                 \
        memcpy(value + j, low, sizeof low);                                                                               \
    }                                                                                                                     \
    for (; j < num_values; j++)                                                                                           \
        for (int64_t i = 0; i < num_shingles; i++) {                                                                      \
            uint32_t v = multiplier[j] * (uint32_t)(shingle[i] >> 32) + addend[j];                                        \
            value[j] = v < value[j] ? v : value[j];                                                                       \
        }

static void lower_plain(LOWER_ARGUMENTS) { LOWER_BODY }

#ifdef WORDS_X86
__attribute__((target("avx2"))) static void lower_avx2(LOWER_ARGUMENTS) { LOWER_BODY }

/* 16 x GROUPS values in registers for one pass over the shingles. */
#define LOWER_512(GROUPS)                                                                                                 \
    for (; num_values >= 16 * GROUPS; num_values -= 16 * GROUPS) {                                                        \
        __m512i a[GROUPS], b[GROUPS], low[GROUPS];                                                                        \
        for (int g = 0; g < GROUPS; g++) {                                                                                \
            a[g] = _mm512_loadu_si512(multiplier + 16 * g);                                                               \
            b[g] = _mm512_loadu_si512(addend + 16 * g);                                                                   \
            low[g] = _mm512_loadu_si512(value + 16 * g);                                                                  \
        }                                                                                                                 \
        for (int64_t i = 0; i < num_shingles; i++) {                                                                      \
            __m512i x = _mm512_set1_epi32((int32_t)(shingle[i] >> 32));                                                   \
            for (int g = 0; g < GROUPS; g++)                                                                              \
                low[g] = _mm512_min_epu32(low[g], _mm512_add_epi32(_mm512_mullo_epi32(a[g], x), b[g]));                   \
        }                                                                                                                 \
        for (int g = 0; g < GROUPS; g++) _mm512_storeu_si512(value + 16 * g, low[g]);                                     \
        multiplier += 16 * GROUPS, addend += 16 * GROUPS, value += 16 * GROUPS;                                           \
    }

__attribute__((target("avx512f"))) static void lower_avx512(LOWER_ARGUMENTS)
{
    LOWER_512(8)
    LOWER_512(4)
    LOWER_512(2)
    LOWER_512(1)
    lower_plain(shingle, num_shingles, multiplier, addend, num_values, value);
}
#endif

typedef void (*lower_function)(LOWER_ARGUMENTS);

static lower_function choose_lower(int level)
{
#ifdef WORDS_X86
    if (level == AVX512) return lower_avx512;
    if (level == AVX2) return lower_avx2;
#endif
    (void)level;
    return lower_plain;
}

/* A text on its way to shingles, chunk by chunk. The arrays have room for the longest text's longest chunk. */
typedef struct {
    const uint8_t *text;
    int64_t left;      /* bytes of it not yet seen */
    int64_t num_words; /* hashes in `word`, of this chunk and the four before it */
    int64_t next;      /* where the next shingle begins in `word` */
    int is_short;      /* no shingle has come of it yet */
    uint8_t *fold;
    int64_t *edge;
    uint64_t *word;
    int level;
} reader;

static int prepare(reader *r, const int64_t *offset, int64_t num_texts)
{
    size_t longest = 0;
    for (int64_t d = 0; d < num_texts; d++) {
        size_t length = (size_t)(offset[d + 1] - offset[d]);
        if (length > longest) longest = length;
    }
    r->fold = malloc(longest + 2 * WORDS_SLACK);
    r->edge = malloc(sizeof(int64_t) * (longest + WORDS_SLACK));
    r->word = malloc(sizeof(uint64_t) * (longest / 2 + WORDS_SLACK));
    r->level = orfevre_text_level(level_limit);
    return r->fold != NULL && r->edge != NULL && r->word != NULL;
}

static void release(reader *r)
{
    free(r->fold);
    free(r->edge);
    free(r->word);
}

static void begin(reader *r, const uint8_t *text, int64_t length)
{
    r->text = text, r->left = length;
    r->num_words = r->next = 0;
    r->is_short = 1;
}

/* Hash the words of the next chunk of the text, after those that shingles still need. */
static void next_chunk(reader *r)
{
    int64_t length = chunk_length(r->text, r->left), num_edges;
    int64_t count = r->num_words - r->next;
    memmove(r->word, r->word + r->next, sizeof(uint64_t) * (size_t)count);
#ifdef WORDS_X86
    if (r->level >= AVX2) {
        fold_avx2(r->text, length, r->left, r->fold);
        num_edges = edges_avx2(r->fold, length, r->edge);
    } else
#endif
    {
        fold_plain(r->text, length, r->left, r->fold);
        num_edges = edges_plain(r->fold, length, r->edge);
    }
    for (int64_t e = 0; e < num_edges; e += 2)
        r->word[count++] = hash_word(r->fold + r->edge[e], r->edge[e + 1] - r->edge[e]);
    r->num_words = count, r->next = 0;
    r->text += length, r->left -= length;
}

static inline uint64_t shingle_of(const uint64_t *word, int64_t count)
{
    uint64_t h = 0;
    for (int64_t i = 0; i < count; i++) h = h * SHINGLE_BASE + word[i];
    return mix(h);
}

/* Up to `room` more shingles of the text; none only at its end. */
static int64_t next_shingles(reader *r, uint64_t *shingle, int64_t room)
{
    while (r->num_words - r->next < WORDS_PER_SHINGLE && r->left > 0) next_chunk(r);
    int64_t count = r->num_words - r->next - (WORDS_PER_SHINGLE - 1);
    if (count > room) count = room;
    const uint64_t *word = r->word + r->next;
    if (count > 0) {
        for (int64_t i = 0; i < count; i++) shingle[i] = shingle_of(word + i, WORDS_PER_SHINGLE);
        r->next += count;
    } else if (r->is_short && r->num_words > 0) {
        shingle[0] = shingle_of(word, r->num_words);
        count = 1;
    }
    r->is_short = 0;
    return count > 0 ? count : 0;
}

/* MinHash signatures of many documents; returns 0, or 1 for want of memory.
 * text: all documents' UTF-8 bytes; document d is text[offset[d] .. offset[d+1]].
 * multiplier (odd), addend: uint32 [num_values]; signature: uint32 [num_documents, num_values]; num_shingles: int64
 * [num_documents], shingles with repeats. A document without words keeps the signature of an empty set: all ones. */
int32_t orfevre_signatures(const uint8_t *text, const int64_t *offset, int64_t num_documents, const uint32_t *multiplier,
                           const uint32_t *addend, int32_t num_values, uint32_t *signature, int64_t *num_shingles)
{
    reader r;
    uint64_t block[BLOCK];
    int ready = prepare(&r, offset, num_documents);
    lower_function lower = choose_lower(r.level);
    for (int64_t d = 0; ready && d < num_documents; d++) {
        uint32_t *value = signature + d * num_values;
        memset(value, 0xFF, sizeof(uint32_t) * (size_t)num_values);
        begin(&r, text + offset[d], offset[d + 1] - offset[d]);
        num_shingles[d] = 0;
        for (int64_t filled; (filled = next_shingles(&r, block, BLOCK)) > 0;) {
            lower(block, filled, multiplier, addend, num_values, value);
            num_shingles[d] += filled;
        }
    }
    release(&r);
    return !ready;
}

/* All shingles of many documents, in order and with repeats, one after another; returns 0, or 1 for want of memory.
 * shingle has room for (bytes of the texts + num_documents); ends: int64 [num_documents], where each one's end. */
int32_t orfevre_shingles(const uint8_t *text, const int64_t *offset, int64_t num_documents, uint64_t *shingle,
                         int64_t *ends)
{
    reader r;
    int64_t total = 0;
    int ready = prepare(&r, offset, num_documents);
    for (int64_t d = 0; ready && d < num_documents; d++) {
        begin(&r, text + offset[d], offset[d + 1] - offset[d]);
        for (int64_t filled; (filled = next_shingles(&r, shingle + total, BLOCK)) > 0;) total += filled;
        ends[d] = total;
    }
    release(&r);
    return !ready;
}

/* A hash of the words of every line of many documents, one line after another; returns 0, or 1 for want of memory.
 * hash, num_words (int32): room for a line more than there are line feeds, in each document. Lines without words hash to
 * something too; equal hashes mean equal words in order, whatever stands between them. */
int32_t orfevre_lines(const uint8_t *text, const int64_t *offset, int64_t num_documents, uint64_t *hash,
                      int32_t *num_words)
{
    reader r;
    int64_t line = 0;
    int ready = prepare(&r, offset, num_documents);
    for (int64_t d = 0; ready && d < num_documents; d++) {
        const uint8_t *at = text + offset[d], *end = text + offset[d + 1];
        for (;; line++) {
            const uint8_t *feed = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
            uint64_t h = 0;
            int64_t count = 0;
            begin(&r, at, (feed ? feed : end) - at);
            while (r.left > 0) {
                r.next = r.num_words; /* words of an earlier chunk are not needed again */
                next_chunk(&r);
                for (int64_t w = 0; w < r.num_words; w++) h = h * SHINGLE_BASE + r.word[w];
                count += r.num_words;
            }
            hash[line] = mix(h);
            num_words[line] = (int32_t)count;
            if (!feed) break;
            at = feed + 1;
        }
        line++;
    }
    release(&r);
    return !ready;
}

/* Every word of many documents: its hash, and where it begins and ends in its document; returns 0, or 1 for want of memory.
 * hash, begins, ends: room for (bytes of the texts / 2 + num_documents); last: int64 [num_documents], where each one's
 * words end. */
int32_t orfevre_words(const uint8_t *text, const int64_t *offset, int64_t num_documents, uint64_t *hash, int64_t *begins,
                      int64_t *ends, int64_t *last)
{
    reader r;
    int64_t total = 0;
    int ready = prepare(&r, offset, num_documents);
    for (int64_t d = 0; ready && d < num_documents; d++) {
        int64_t whole = offset[d + 1] - offset[d];
        begin(&r, text + offset[d], whole);
        while (r.left > 0) {
            int64_t at = whole - r.left;
            r.next = r.num_words;
            next_chunk(&r);
            for (int64_t w = 0; w < r.num_words; w++, total++) {
                hash[total] = r.word[w];
                begins[total] = at + r.edge[2 * w], ends[total] = at + r.edge[2 * w + 1];
            }
        }
        last[d] = total;
    }
    release(&r);
    return !ready;
}

/* How many members two sets share, for many pairs of sets. A set is set[from .. to), in ascending order, no repeats.
 * from, to: int64 [num_pairs, 2], places in `set`; shared: int64 [num_pairs]. */
void orfevre_shared(const uint64_t *set, const int64_t *from, const int64_t *to, int64_t num_pairs, int64_t *shared)
{
    for (int64_t p = 0; p < num_pairs; p++) {
        const uint64_t *a = set + from[2 * p], *a_end = set + to[2 * p];
        const uint64_t *b = set + from[2 * p + 1], *b_end = set + to[2 * p + 1];
        int64_t equal = 0;
        while (a < a_end && b < b_end) { /* without branches: which set is ahead cannot be foretold */
            uint64_t x = *a, y = *b;
            equal += x == y;
            a += x <= y;
            b += y <= x;
        }
        shared[p] = equal;
    }
}
