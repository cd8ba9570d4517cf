/* Hashed n-grams of texts: which buckets a text's tokens and pairs of tokens fall into, and how often.
 * features_numpy.py computes the same numbers.
 *
 * A token is a run of letters (ASCII letters lower-cased, bytes >= 0x80), a run of digits (each taken as 0), and, where
 * marks are asked for, a run of one other byte (so that "...." is one token, and two line ends in a row are another than
 * one). Spaces, tabs and NUL only part tokens.
 */
#include "mix.h"

#include <stdint.h>
#include <string.h>

#define TOKEN_BASE UINT64_C(0x9E3779B97F4A7C15)
#define PAIR_BASE UINT64_C(0xD6E8FEB86659FD93)
#define LONGEST_RUN 8 /* marks beyond this many in a run say nothing more */

enum { SPACE, LETTER, DIGIT, MARK };

typedef struct {
    uint8_t kind[256], value[256];
} alphabet;

static void fill(alphabet *a, int marks)
{
    memset(a, 0, sizeof *a);
    for (int c = 0; c < 256; c++) {
        int upper = c >= 'A' && c <= 'Z', letter = upper || (c >= 'a' && c <= 'z') || c >= 128;
        int digit = c >= '0' && c <= '9', space = c == 0 || c == ' ' || c == '\t';
        a->kind[c] = letter ? LETTER : digit ? DIGIT : space || !marks ? SPACE : MARK;
        a->value[c] = (uint8_t)(upper ? c + 32 : digit ? '0' : c);
    }
}

typedef struct {
    uint32_t *bucket;
    int32_t *count, *place;
    int64_t used, start;
} row;

/* `place` says where in this text's row a bucket stands, from 1; 0 for none. */
static inline void push(row *r, uint32_t bucket)
{
    int32_t at = r->place[bucket];
    if (at) {
        r->count[r->start + at - 1]++;
        return;
    }
    r->bucket[r->used] = bucket;
    r->count[r->used++] = 1;
    r->place[bucket] = (int32_t)(r->used - r->start);
}

/* text: all texts' bytes; text t is text[offset[t] .. offset[t+1]]. bits: 1 to 30, of a bucket's number. pairs, marks: 0 or
 * 1. Row t of the result is bucket and count [start[t] .. start[t+1]], buckets in the order of their first occurrence;
 * bucket and count have room for one entry for each byte and text. place: int32 [2^bits], all 0 before and after. */
void orfevre_features(const uint8_t *text, const int64_t *offset, int64_t num_texts, int32_t bits, int32_t pairs,
                      int32_t marks, uint32_t *bucket, int32_t *count, int64_t *start, int32_t *place)
{
    alphabet a;
    fill(&a, marks);
    const int shift = 64 - bits;
    row r = {bucket, count, place, 0, 0};
    start[0] = 0;
    for (int64_t t = 0; t < num_texts; t++) {
        const uint8_t *at = text + offset[t], *end = text + offset[t + 1];
        uint64_t last = 0;
        int has_last = 0;
        r.start = r.used;
        while (at < end) {
            const uint8_t kind = a.kind[*at], first = *at;
            if (kind == SPACE) {
                at++;
                continue;
            }
            uint64_t hash = 0;
            if (kind == MARK) {
                const uint8_t *from = at;
                while (at < end && *at == first) at++;
                int64_t length = at - from;
                for (int64_t i = 0; i < length && i < LONGEST_RUN; i++) hash = hash * TOKEN_BASE + first;
            } else {
                while (at < end && a.kind[*at] == kind) hash = hash * TOKEN_BASE + a.value[*at++];
            }
            hash = mix(hash);
            push(&r, (uint32_t)(hash >> shift));
            if (pairs && has_last) push(&r, (uint32_t)(mix(last * PAIR_BASE + hash) >> shift));
            last = hash;
            has_last = 1;
        }
        for (int64_t i = r.start; i < r.used; i++) place[bucket[i]] = 0;
        start[t + 1] = r.used;
    }
}
