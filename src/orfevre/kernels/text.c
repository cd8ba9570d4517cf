/* Text kernels with a plain C ABI, loaded by ctypes (native.py). minhash_numpy.py computes the same numbers.
 *
 * A word is a run of ASCII letters, ASCII digits and bytes >= 0x80 (so every non-ASCII character of UTF-8 counts as a
 * letter, typographic punctuation included); ASCII letters are lower-cased, others are not. A shingle is five words in a
 * row; a text of one to four words is one shingle.
 */
#include <stdint.h>
#include <string.h>

#define WORDS_PER_SHINGLE 5
#define BLOCK 2048 /* shingles hashed before the signature is updated: 8 KiB, stays in the L1 cache */
#define LANES 32   /* signature values updated together: four AVX2 registers */

#define WORD_BASE UINT64_C(0x9E3779B97F4A7C15)
#define SHINGLE_BASE UINT64_C(0xD6E8FEB86659FD93)

/* The finaliser of MurmurHash3: every input bit reaches every output bit. */
static inline uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xFF51AFD7ED558CCD);
    h ^= h >> 33;
    h *= UINT64_C(0xC4CEB9FE1A85EC53);
    return h ^ (h >> 33);
}

/* value[j] = min(value[j], min over i of multiplier[j] * shingle[i] + addend[j] mod 2^32) */
#define LOWER_BODY                                                                                                        \
    int32_t j = 0;                                                                                                        \
    for (; j + LANES <= num_values; j += LANES) {                                                                         \
        uint32_t a[LANES], b[LANES], low[LANES];                                                                          \
        memcpy(a, multiplier + j, sizeof a);                                                                              \
        memcpy(b, addend + j, sizeof b);                                                                                  \
        memcpy(low, value + j, sizeof low);                                                                               \
        for (int64_t i = 0; i < num_shingles; i++) {                                                                      \
            uint32_t x = shingle[i];                                                                                      \
            for (int l = 0; l < LANES; l++) {                                                                             \
                uint32_t v = a[l] * x + b[l];                                                                             \
                low[l] = v < low[l] ? v : low[l];                                                                         \
            }                                                                                                             \
        }                                                                                                                 \
        memcpy(value + j, low, sizeof low);                                                                               \
    }                                                                                                                     \
    for (; j < num_values; j++)                                                                                           \
        for (int64_t i = 0; i < num_shingles; i++) {                                                                      \
            uint32_t v = multiplier[j] * shingle[i] + addend[j];                                                          \
            value[j] = v < value[j] ? v : value[j];                                                                       \
        }

#define LOWER_ARGUMENTS                                                                                                   \
    const uint32_t *shingle, int64_t num_shingles, const uint32_t *multiplier, const uint32_t *addend,                    \
        int32_t num_values, uint32_t *value

typedef void (*lower_function)(LOWER_ARGUMENTS);

static void lower_plain(LOWER_ARGUMENTS) { LOWER_BODY }

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
__attribute__((target("avx2"))) static void lower_avx2(LOWER_ARGUMENTS) { LOWER_BODY }

static lower_function choose_lower(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? lower_avx2 : lower_plain;
}
#else
static lower_function choose_lower(void) { return lower_plain; }
#endif

/* 0 for a separator, else the lower-cased byte. */
static void fill_letters(uint8_t letter[256])
{
    memset(letter, 0, 256);
    for (int c = '0'; c <= '9'; c++) letter[c] = (uint8_t)c;
    for (int c = 'a'; c <= 'z'; c++) letter[c] = letter[c - 32] = (uint8_t)c;
    for (int c = 128; c < 256; c++) letter[c] = (uint8_t)c;
}

typedef struct {
    uint64_t word[WORDS_PER_SHINGLE]; /* the last five words, oldest first */
    int64_t num_words, num_shingles;
    uint32_t block[BLOCK];
    int32_t filled;
} shingler;

static inline uint32_t shingle_of(const uint64_t *word, int count)
{
    uint64_t h = 0;
    for (int i = 0; i < count; i++) h = h * SHINGLE_BASE + word[i];
    return (uint32_t)(mix(h) >> 32);
}

static inline void push_shingle(shingler *s, uint32_t shingle) { s->block[s->filled++] = shingle; s->num_shingles++; }

static inline void push_word(shingler *s, uint64_t hash)
{
    if (s->num_words < WORDS_PER_SHINGLE) {
        s->word[s->num_words] = hash;
    } else {
        for (int i = 1; i < WORDS_PER_SHINGLE; i++) s->word[i - 1] = s->word[i];
        s->word[WORDS_PER_SHINGLE - 1] = hash;
    }
    s->num_words++;
    if (s->num_words >= WORDS_PER_SHINGLE) push_shingle(s, shingle_of(s->word, WORDS_PER_SHINGLE));
}

/* MinHash signatures of many documents.
 * text: all documents' UTF-8 bytes; document d is text[offset[d] .. offset[d+1]].
 * multiplier (odd), addend: uint32 [num_values]; signature: uint32 [num_documents, num_values]; num_shingles: int64
 * [num_documents], shingles with repeats. A document without words keeps the signature of an empty set: all ones. */
void orfevre_signatures(const uint8_t *text, const int64_t *offset, int64_t num_documents, const uint32_t *multiplier,
                        const uint32_t *addend, int32_t num_values, uint32_t *signature, int64_t *num_shingles)
{
    uint8_t letter[256];
    fill_letters(letter);
    lower_function lower = choose_lower();
    for (int64_t d = 0; d < num_documents; d++) {
        uint32_t *value = signature + d * num_values;
        memset(value, 0xFF, sizeof(uint32_t) * (size_t)num_values);
        shingler s = {.num_words = 0, .num_shingles = 0, .filled = 0};
        const uint8_t *at = text + offset[d], *end = text + offset[d + 1];
        while (at < end) {
            while (at < end && !letter[*at]) at++;
            if (at == end) break;
            uint64_t hash = 0;
            while (at < end && letter[*at]) hash = hash * WORD_BASE + letter[*at++];
            push_word(&s, mix(hash));
            if (s.filled == BLOCK) {
                lower(s.block, s.filled, multiplier, addend, num_values, value);
                s.filled = 0;
            }
        }
        if (s.num_words > 0 && s.num_words < WORDS_PER_SHINGLE) push_shingle(&s, shingle_of(s.word, (int)s.num_words));
        if (s.filled) lower(s.block, s.filled, multiplier, addend, num_values, value);
        num_shingles[d] = s.num_shingles;
    }
}
