/* Naive Bayes over the features that a byte automaton finds in a text: py3langid's model, and any of its kind.
 *
 * The automaton walks a text byte by byte; a state may stand for a feature (an n-gram that ends here). A text's score for
 * a class is the sum over its features of log(1 + count) times the feature's weight for that class, features taken in
 * the order in which they first occur, so that automaton_numpy.py makes the same floats.
 */
#include <stdint.h>

typedef struct {
    const uint32_t *next;     /* [num_rows, 256]: the state after a byte */
    const uint32_t *row;      /* [num_states]: which row of `next` a state uses */
    const int32_t *feature;   /* [num_states]: the feature found in a state, or less than 0 */
    const uint16_t *weight;   /* float16 [num_features, num_classes] */
    const float *half;        /* [65536]: what each float16 stands for */
    const float *logarithm;   /* [num_logarithms]: log(1 + count) */
    int32_t num_classes;      /* a multiple of 8 */
    int32_t num_logarithms;
} orfevre_automaton;

typedef void (*add_function)(const orfevre_automaton *model, float *score, const uint16_t *weight, float factor);

/* No fused multiply-add in any version: the twin rounds the product. */
static void add_plain(const orfevre_automaton *model, float *score, const uint16_t *weight, float factor)
{
    for (int32_t c = 0; c < model->num_classes; c++) score[c] += factor * model->half[weight[c]];
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>

__attribute__((target("avx2,f16c"))) static void add_avx2(
    const orfevre_automaton *model, float *score, const uint16_t *weight, float factor)
{
    const __m256 by = _mm256_set1_ps(factor);
    for (int32_t c = 0; c < model->num_classes; c += 8) {
        __m256 product = _mm256_mul_ps(by, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(weight + c))));
        _mm256_storeu_ps(score + c, _mm256_add_ps(_mm256_loadu_ps(score + c), product));
    }
}

static add_function choose_add(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? add_avx2 : add_plain; /* F16C is older; clang cannot ask for it */
}
#else
static add_function choose_add(void) { return add_plain; }
#endif

#if defined(__GNUC__) || defined(__clang__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

#define AHEAD 4 /* features whose weights are asked for before they are needed: they lie anywhere in tens of MB */

static inline void fetch(const orfevre_automaton *model, int32_t feature)
{
    const uint16_t *weight = model->weight + (int64_t)feature * model->num_classes;
    for (int32_t c = 0; c < model->num_classes; c += 32) PREFETCH(weight + c);
}

/* text: all texts' bytes; text t is text[offset[t] .. offset[t+1]]. score: float32 [num_texts, num_classes], zeroed by the
 * caller. hits, distinct: int64 [num_texts], features found with and without repeats. count: int32 [num_features], all 0
 * before and after; found: int32 with room for the longest text's bytes. */
void orfevre_automaton_scores(const orfevre_automaton *model, const uint8_t *text, const int64_t *offset, int64_t num_texts,
                              float *score, int64_t *hits, int64_t *distinct, int32_t *count, int32_t *found)
{
    add_function add = choose_add();
    for (int64_t t = 0; t < num_texts; t++) {
        int64_t num_hits = 0, num_found = 0;
        uint32_t state = 0;
        for (int64_t i = offset[t]; i < offset[t + 1]; i++) {
            state = model->next[(uint64_t)model->row[state] << 8 | text[i]];
            int32_t feature = model->feature[state];
            if (feature < 0) continue;
            num_hits++;
            if (count[feature]++ == 0) found[num_found++] = feature;
        }
        float *own = score + t * model->num_classes;
        for (int64_t f = 0; f < num_found; f++) {
            if (f + AHEAD < num_found) fetch(model, found[f + AHEAD]);
            int32_t times = count[found[f]];
            count[found[f]] = 0;
            if (times >= model->num_logarithms) times = model->num_logarithms - 1;
            add(model, own, model->weight + (int64_t)found[f] * model->num_classes, model->logarithm[times]);
        }
        hits[t] = num_hits;
        distinct[t] = num_found;
    }
}
