/* What quality rules need to know of a text, counted in one visit: quality.py decides by it, quality_python.py counts the
 * same in Python. A kernel with a plain C ABI, loaded by ctypes.
 *
 * A run is what str.split gives. A word is a run, cut after an elision: after an apostrophe (' or U+2019) that a letter
 * follows, when what stands before it in the word is one of c d j l m n s t, or ends in `qu`.
 */
#include <stdint.h>

#include "c4.h"
#include "chars.h"
#include "encoded.h"
#include "repeats.h"

/* Groups of measures, so that nobody pays for what no rule asks. */
enum { BASIC = 1, REPETITION = 2, WORDS = 4, C4 = 8, FINEWEB = 16, CODE = 32 };

typedef struct {
    int64_t num_chars, letters_or_spaces, alphanumerics, num_runs, run_chars; /* BASIC, from the words */
    int64_t filled_lines, repeated_lines, longest_line, newlines;             /* BASIC, lines between '\n' */
    int64_t num_words, real_words, real_chars, alpha_words, stop_words;       /* WORDS; stop_words: a bit each */
    int64_t hashes, ellipses, num_lines, bullet_lines, ellipsis_lines;
    int64_t paragraphs, duplicate_paragraphs, duplicate_paragraph_chars; /* REPETITION */
    int64_t lines, duplicate_lines, duplicate_line_chars;
    int64_t top[3], duplicate[6];
    int64_t c4_outcome, c4_sentences, c4_dropped_lines, c4_citations, c4_bytes; /* C4 */
    int64_t web_lines, web_ended_lines, web_short_lines, web_duplicate_chars;   /* FINEWEB, on what C4 left */
    int64_t web_chars, web_newlines, web_words;
    int64_t encoded_bytes, longest_encoded, is_generated; /* CODE */
} measures;

typedef struct {
    const uint8_t *classes;    /* [CLASS_POINTS] */
    const uint8_t *stop_text;  /* stop words one after another */
    const int64_t *stop_place; /* [num_stop_words + 1] */
    int32_t num_stop_words;    /* up to 64 */
    int32_t groups;
    int32_t short_line_chars;
    c4_rules c4;
} quality_rules;

#define STOP_BITS 8

typedef struct {
    const quality_rules *rules;
    repeats words;
    uint64_t stop_hash[1 << STOP_BITS];
    int8_t stop_bit[1 << STOP_BITS];
} quality_work;

static inline uint64_t hash_of_word(const uint64_t *power, const uint8_t *at, int64_t length)
{
    uint64_t h = 0;
    for (; length >= 4; length -= 4, at += 4) /* multiplications that need not wait for each other */
        h = h * power[4] + (at[0] + UINT64_C(1)) * power[3] + (at[1] + UINT64_C(1)) * power[2] +
            (at[2] + UINT64_C(1)) * power[1] + at[3] + 1;
    for (int64_t i = 0; i < length; i++) h = h * BYTE_BASE + at[i] + 1;
    return h;
}

static void take_stop_words(quality_work *work)
{
    const quality_rules *rules = work->rules;
    memset(work->stop_hash, 0, sizeof work->stop_hash);
    for (int32_t i = 0; i < rules->num_stop_words; i++) {
        const int64_t *place = rules->stop_place + i;
        uint64_t hash = hash_of_word(work->words.powers, rules->stop_text + place[0], place[1] - place[0]), at = slot_of(hash, STOP_BITS);
        while (work->stop_hash[at]) at = (at + 1) & ((1 << STOP_BITS) - 1);
        work->stop_hash[at] = hash;
        work->stop_bit[at] = (int8_t)i;
    }
}

static inline int64_t stop_word(const quality_work *work, uint64_t hash)
{
    for (uint64_t at = slot_of(hash, STOP_BITS); work->stop_hash[at]; at = (at + 1) & ((1 << STOP_BITS) - 1))
        if (work->stop_hash[at] == hash) return (int64_t)((uint64_t)1 << work->stop_bit[at]);
    return 0;
}

static inline int is_elision(const uint8_t *word, int64_t length)
{
    if (length == 1) return *word < 0x80 && strchr("cdjlmnst", *word | 0x20) != NULL;
    return length >= 2 && (word[length - 2] | 0x20) == 'q' && (word[length - 1] | 0x20) == 'u';
}

/* Where the word that begins at `start`, no white space, ends; characters and classes of it. */
typedef struct {
    int64_t chars, letters, alphanumerics;
    uint8_t any, all; /* of the classes of its characters: OR, AND */
} word_facts;

static inline const uint8_t *scan_word(const uint8_t *classes, const uint8_t *start, const uint8_t *end,
                                       word_facts *word)
{
    const uint8_t *at = start;
    uint8_t class, any = 0, all = 0xFF;
    int64_t chars = 0, letters = 0, alphanumerics = 0;
    int64_t length = next_char(classes, at, end, &class);
    do {
        int is_apostrophe = *at == '\'' || (*at == 0xE2 && length == 3 && at[1] == 0x80 && at[2] == 0x99);
        any |= class, all &= class;
        chars++, letters += (class & ALPHA) != 0, alphanumerics += (class & ALNUM) != 0;
        int64_t before = at - start;
        at += length;
        if (at >= end) break;
        length = next_char(classes, at, end, &class);
        if (is_apostrophe && (class & ALPHA) && is_elision(start, before)) break;
    } while (!(class & SPACE));
    *word = (word_facts){chars, letters, alphanumerics, any, all};
    return at;
}

/* The words of a text, and what is counted of characters. 0 for want of memory. */
static int measure_words(quality_work *work, const uint8_t *text, const uint8_t *end, measures *m)
{
    const uint8_t *classes = work->rules->classes;
    repeats *r = &work->words;
    int64_t spaces = 0, letters = 0, alphanumerics = 0, chars = 0, last_end = -1;
    int keeps = (work->rules->groups & REPETITION) != 0, hashes = keeps || work->rules->num_stop_words;
    if (!start_words(r, keeps ? end - text + 1 : 1)) return 0;
    for (const uint8_t *at = text; at < end;) {
        uint8_t class;
        word_facts word;
        int64_t length = next_char(classes, at, end, &class);
        if (class & SPACE) {
            spaces++, at += length;
            continue;
        }
        const uint8_t *start = at;
        at = scan_word(classes, start, end, &word);
        m->num_runs += start - text != last_end;
        last_end = at - text;
        letters += word.letters, alphanumerics += word.alphanumerics, chars += word.chars;
        m->num_words++;
        m->alpha_words += (word.any & ALPHA) != 0;
        if (!(word.all & MARK)) m->real_words++, m->real_chars += word.chars;
        if (!hashes) continue;
        uint64_t hash = hash_of_word(r->powers, start, at - start);
        m->stop_words |= stop_word(work, hash);
        if (!keeps) continue;
        if (!room_for_word(r)) return 0;
        add_word(r, start, at - start, word.chars, hash);
    }
    m->num_chars = spaces + chars, m->run_chars = chars;
    m->letters_or_spaces = spaces + letters, m->alphanumerics = alphanumerics;
    return 1;
}

/* Counts of `#` and of ellipses; lines that begin with a bullet or end in an ellipsis (str.splitlines). */
static void measure_symbols(const uint8_t *classes, const uint8_t *text, const uint8_t *end, measures *m)
{
    const uint8_t *next;
    static const uint8_t is_symbol[256] = {['#'] = 1, ['.'] = 1, [0xE2] = 1};
    for (const uint8_t *at = text; at < end; at++) {
        if (!is_symbol[*at]) continue;
        m->hashes += *at == '#';
        if (*at == '.' && end - at >= 3 && at[1] == '.' && at[2] == '.') m->ellipses++, at += 2;
        else if (*at == 0xE2 && end - at >= 3 && at[1] == 0x80 && at[2] == 0xA6) m->ellipses++;
    }
    for (const uint8_t *at = text; at < end; at = next) {
        const uint8_t *from = at, *stop = line_end(at, end, &next);
        strip(classes, &from, &stop);
        m->num_lines++;
        m->bullet_lines += from < stop && (*from == '-' || (stop - from >= 3 && !memcmp(from, "\xE2\x80\xA2", 3)));
        m->ellipsis_lines += ends_with(from, stop, "...", 3) || ends_with(from, stop, "\xE2\x80\xA6", 3);
    }
}

static int64_t count_newlines(const uint8_t *at, const uint8_t *end)
{
    int64_t count = 0;
    for (; at < end; at++) count += *at == '\n';
    return count;
}

/* Lines between '\n' without white space at their ends, empty ones left out; the longest line as it stands. */
static int measure_lines(quality_work *work, const uint8_t *text, const uint8_t *end, int valid, measures *m)
{
    m->newlines = count_newlines(text, end);
    int bits = empty_table(&work->words, m->newlines + 1, sizeof(uint64_t));
    if (!bits) return 0;
    for (const uint8_t *at = text, *stop; at <= end; at = stop + 1) {
        stop = newline(at, end);
        if (stop - at > m->longest_line) {
            int64_t chars = count_chars(at, stop, valid);
            if (chars > m->longest_line) m->longest_line = chars;
        }
        const uint8_t *from = at, *to = stop;
        strip(work->rules->classes, &from, &to);
        if (from == to) continue;
        m->filled_lines++;
        m->repeated_lines += seen_before((uint64_t *)work->words.place, bits, hash_bytes(from, to - from));
    }
    return 1;
}

/* Parts between runs of at least `least` '\n' that repeat an earlier one: parts, repeating parts, their characters. */
static int measure_parts(repeats *r, const uint8_t *text, const uint8_t *end, int valid, int least, int64_t *counts)
{
    int bits = empty_table(r, count_newlines(text, end) + 1, sizeof(uint64_t));
    if (!bits) return 0;
    const uint8_t *from = text, *at = text;
    for (;;) {
        const uint8_t *stop = newline(at, end), *after = stop;
        while (after < end && *after == '\n') after++;
        if (stop < end && after - stop < least) {
            at = after;
            continue;
        }
        counts[0]++;
        if (seen_before((uint64_t *)r->place, bits, hash_bytes(from, stop - from)))
            counts[1]++, counts[2] += count_chars(from, stop, valid);
        if (stop >= end) return 1;
        from = at = after;
    }
}

static int measure_repetition(quality_work *work, const uint8_t *text, const uint8_t *end, int valid, measures *m)
{
    const uint8_t *from = text, *stop = end;
    strip(work->rules->classes, &from, &stop);
    return measure_parts(&work->words, from, stop, valid, 2, &m->paragraphs) &&
           measure_parts(&work->words, text, end, valid, 1, &m->lines) && top_grams(&work->words, m->top) &&
           duplicate_grams(&work->words, m->duplicate);
}

static int is_blank(const uint8_t *classes, const uint8_t *from, const uint8_t *stop)
{
    for (uint8_t class; from < stop;) {
        from += next_char(classes, from, stop, &class);
        if (!(class & SPACE)) return 0;
    }
    return 1;
}

/* Lines between '\n' that are not blank, as they stand. */
static int measure_web(quality_work *work, const uint8_t *text, const uint8_t *end, measures *m)
{
    const uint8_t *classes = work->rules->classes;
    int valid = is_valid(text, end);
    m->web_newlines = count_newlines(text, end);
    m->web_chars = count_chars(text, end, valid) - m->web_newlines;
    int bits = empty_table(&work->words, m->web_newlines + 1, sizeof(uint64_t));
    if (!bits) return 0;
    for (const uint8_t *at = text, *stop; at <= end; at = stop + 1) {
        stop = newline(at, end);
        if (is_blank(classes, at, stop)) continue;
        uint8_t class;
        int64_t chars = count_chars(at, stop, valid);
        last_char(classes, at, stop, &class);
        m->web_lines++;
        m->web_ended_lines += (class & TERMINAL) != 0;
        m->web_short_lines += chars <= work->rules->short_line_chars;
        if (seen_before((uint64_t *)work->words.place, bits, hash_bytes(at, stop - at))) m->web_duplicate_chars += chars;
    }
    m->web_words = m->num_words;
    return 1;
}

/* Words alone, for a text that C4 has changed. */
static int64_t count_words(const uint8_t *classes, const uint8_t *at, const uint8_t *end)
{
    int64_t count = 0;
    while (at < end) {
        uint8_t class;
        word_facts word;
        int64_t length = next_char(classes, at, end, &class);
        if (class & SPACE) {
            at += length;
        } else {
            at = scan_word(classes, at, end, &word);
            count++;
        }
    }
    return count;
}

static int measure_text(quality_work *work, const uint8_t *text, const uint8_t *end, uint8_t *out, measures *m)
{
    const quality_rules *rules = work->rules;
    int valid = is_valid(text, end);
    const uint8_t *web = text, *web_end = end;
    if ((rules->groups & (BASIC | WORDS | REPETITION | FINEWEB)) && !measure_words(work, text, end, m)) return 0;
    if (rules->groups & WORDS) measure_symbols(rules->classes, text, end, m);
    if ((rules->groups & REPETITION) && !measure_repetition(work, text, end, valid, m)) return 0;
    if ((rules->groups & BASIC) && !measure_lines(work, text, end, valid, m)) return 0;
    if (rules->groups & CODE) {
        measure_encoded(text, end, &m->encoded_bytes, &m->longest_encoded);
        m->is_generated = is_generated(text, end);
    }
    if (rules->groups & C4) {
        int64_t count[3] = {0};
        m->c4_outcome = filter_lines(&rules->c4, rules->classes, text, end, out, &m->c4_bytes, count);
        m->c4_sentences = count[0], m->c4_dropped_lines = count[1], m->c4_citations = count[2];
        web = out, web_end = out + m->c4_bytes;
    }
    if (!(rules->groups & FINEWEB)) return 1;
    if (!measure_web(work, web, web_end, m)) return 0;
    if (web != text) m->web_words = count_words(rules->classes, web, web_end);
    return 1;
}

/* Measures of many texts; returns 0, or 1 for want of memory.
 * text d is text[offset[d] .. offset[d + 1]); found: [num_texts]; out: room for the bytes of the texts and one more, where
 * group C4 leaves the lines that stay of text d from out[offset[d]] on, found[d].c4_bytes of them. */
int32_t orfevre_quality(const quality_rules *rules, const uint8_t *text, const int64_t *offset, int64_t num_texts,
                        measures *found, uint8_t *out)
{
    quality_work work = {.rules = rules};
    int ready = 1;
    repeats_start(&work.words);
    take_stop_words(&work);
    memset(found, 0, (size_t)num_texts * sizeof *found);
    for (int64_t d = 0; ready && d < num_texts; d++)
        ready = measure_text(&work, text + offset[d], text + offset[d + 1], out + offset[d], found + d);
    repeats_end(&work.words);
    return !ready;
}

int64_t orfevre_quality_size(void) { return (int64_t)sizeof(measures); }
