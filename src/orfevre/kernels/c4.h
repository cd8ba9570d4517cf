/* The rules of C4 on lines (arXiv 1910.10683, section 2.2): which lines of a text stay. */
#ifndef ORFEVRE_C4_H
#define ORFEVRE_C4_H

#include "chars.h"

typedef struct {
    int32_t remove_citations, needs_line_end, drops_javascript, refuses_lorem_ipsum, refuses_curly, drops_policy;
    int32_t min_words_per_line;
    int32_t max_word_length; /* characters; negative: no limit */
} c4_rules;

enum { C4_KEPT, C4_LOREM_IPSUM, C4_CURLY };

/* Does the folded phrase stand at `at`, whatever the case of ASCII letters? */
static inline int phrase_at(const uint8_t *at, const uint8_t *end, const char *phrase)
{
    for (; *phrase; phrase++, at++) {
        if (at >= end) return 0;
        uint8_t c = *at;
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        if (c != (uint8_t)*phrase) return 0;
    }
    return 1;
}

enum { FOUND_LOREM = 1, FOUND_JAVASCRIPT = 2, FOUND_CURLY = 4, FOUND_POLICY = 8 };

/* The phrases that matter, each looked for where one of its rarer letters stands. */
static inline int phrases_in(const uint8_t *begin, const uint8_t *end)
{
    static const struct {
        char letter;
        int8_t place; /* of the letter in the phrase */
        int8_t found;
        const char *phrase;
    } looked_for[] = {
        {'j', 0, FOUND_JAVASCRIPT, "javascript"}, {'p', 7, FOUND_LOREM, "lorem ipsum"},
        {'f', 7, FOUND_POLICY, "terms of use"},   {'v', 3, FOUND_POLICY, "privacy policy"},
        {'k', 3, FOUND_POLICY, "cookie policy"},  {'k', 8, FOUND_POLICY, "uses cookies"},
        {'k', 10, FOUND_POLICY, "use of cookies"}, {'k', 7, FOUND_POLICY, "use cookies"},
    };
    static const uint8_t is_rare[256] = {['j'] = 1, ['J'] = 1, ['p'] = 1, ['P'] = 1, ['f'] = 1, ['F'] = 1,
                                         ['v'] = 1, ['V'] = 1, ['k'] = 1, ['K'] = 1, ['{'] = 1};
    int found = 0;
    for (const uint8_t *at = begin; at < end; at++) {
        if (!is_rare[*at]) continue;
        if (*at == '{') {
            found |= FOUND_CURLY;
            continue;
        }
        for (size_t i = 0; i < sizeof looked_for / sizeof *looked_for; i++)
            if ((*at | 0x20) == looked_for[i].letter && at - begin >= looked_for[i].place &&
                phrase_at(at - looked_for[i].place, end, looked_for[i].phrase))
                found |= looked_for[i].found;
    }
    return found;
}

/* Length of the citation at `at` ("[12]", "[]", "[edit]", "[citation needed]"), 0 for none. */
static inline int64_t citation_at(const uint8_t *classes, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *p = at + 1;
    uint8_t class;
    while (p < end) {
        int64_t length = next_char(classes, p, end, &class);
        if (!(class & DECIMAL)) break;
        p += length;
    }
    if (p < end && *p == ']') return p + 1 - at;
    if (end - at >= 6 && !memcmp(at, "[edit]", 6)) return 6;
    if (end - at >= 17 && !memcmp(at, "[citation needed]", 17)) return 17;
    return 0;
}

/* Copies the line without citations; returns where the copy ends. */
static inline uint8_t *without_citations(const uint8_t *classes, const uint8_t *at, const uint8_t *end, uint8_t *out,
                                         int64_t *num_citations)
{
    while (at < end) {
        const uint8_t *bracket = memchr(at, '[', (size_t)(end - at));
        const uint8_t *stop = bracket ? bracket : end;
        memcpy(out, at, (size_t)(stop - at));
        out += stop - at, at = stop;
        if (at >= end) break;
        int64_t length = citation_at(classes, at, end);
        if (length) {
            at += length;
            ++*num_citations;
        } else {
            *out++ = *at++;
        }
    }
    return out;
}

/* Words between white space, counted up to `enough`; *is_long: one of them has more than `most` characters. */
static inline int64_t count_runs(const uint8_t *classes, const uint8_t *at, const uint8_t *end, int64_t enough,
                                 int64_t most, int *is_long)
{
    int64_t runs = 0, chars = 0;
    int can_be_long = most >= 0 && end - at > most;
    uint8_t class;
    *is_long = 0;
    while (at < end && (runs < enough || can_be_long)) {
        at += next_char(classes, at, end, &class);
        if (class & SPACE) {
            chars = 0;
        } else {
            runs += chars == 0;
            chars++;
            if (can_be_long && chars > most) *is_long = 1;
        }
    }
    return runs;
}

static inline int is_closing(const uint8_t *at, int64_t length)
{
    if (length == 1) return *at == '"' || *at == '\'' || *at == ')' || *at == ']' || *at == '}';
    if (length == 2) return at[0] == 0xC2 && at[1] == 0xBB;                               /* » */
    return length == 3 && at[0] == 0xE2 && at[1] == 0x80 && (at[2] == 0x9D || at[2] == 0x99); /* ” ’ */
}

static inline int has_alnum(const uint8_t *classes, const uint8_t *at, const uint8_t *end)
{
    for (uint8_t class; at < end;) {
        at += next_char(classes, at, end, &class);
        if (class & ALNUM) return 1;
    }
    return 0;
}

/* Sentences of a line, at least 1: a sentence holds a letter or digit and ends with the word whose last character, closing
 * quotes and brackets apart, is a sentence's end. */
static inline int64_t count_sentences(const uint8_t *classes, const uint8_t *at, const uint8_t *end)
{
    int64_t count = 0;
    const uint8_t *open = at; /* where the sentence may begin */
    while (at < end) {
        uint8_t class;
        while (at < end && *at < 0x80 && !(classes[*at] & TERMINAL)) at++;
        if (at >= end) break;
        const uint8_t *mark = at;
        at += next_char(classes, at, end, &class);
        if (!(class & TERMINAL)) continue;
        for (class = SPACE; at < end;) {
            int64_t length = next_char(classes, at, end, &class);
            if (!(class & TERMINAL) && !is_closing(at, length)) break;
            at += length, class = SPACE;
        }
        if (class & SPACE) count += has_alnum(classes, open, mark), open = at;
    }
    if (has_alnum(classes, open, end)) count++;
    return count > 0 ? count : 1;
}

/* The lines that stay, joined by '\n', stripped, in out[0 .. *num_out); out has room for the text. Returns what became of
 * the text. count: sentences, lines dropped, citations removed. */
static inline int filter_lines(const c4_rules *rules, const uint8_t *classes, const uint8_t *text, const uint8_t *end,
                               uint8_t *out, int64_t *num_out, int64_t count[3])
{
    uint8_t *to = out;
    const uint8_t *next;
    int has_line = 0;
    for (const uint8_t *at = text; at < end; at = next) {
        const uint8_t *from = at, *stop = line_end(at, end, &next);
        int64_t citations = 0;
        int is_long;
        uint8_t class = 0;
        strip(classes, &from, &stop);
        int64_t words = count_runs(classes, from, stop, rules->min_words_per_line, rules->max_word_length, &is_long);
        count[1]++; /* until it is kept */
        if (is_long) continue;
        uint8_t *line = to;
        if (has_line) *line++ = '\n';
        uint8_t *tail = line;
        if (rules->remove_citations) {
            tail = without_citations(classes, from, stop, line, &citations);
        } else {
            memcpy(line, from, (size_t)(stop - from));
            tail += stop - from;
        }
        if (line < tail) last_char(classes, line, tail, &class);
        if (rules->needs_line_end && (!(class & LINE_END) || ends_with(line, tail, "...", 3))) continue;
        if (words < rules->min_words_per_line) continue;
        int found = phrases_in(line, tail);
        if (rules->refuses_lorem_ipsum && (found & FOUND_LOREM)) return C4_LOREM_IPSUM;
        if (rules->drops_javascript && (found & FOUND_JAVASCRIPT)) continue;
        if (rules->refuses_curly && (found & FOUND_CURLY)) return C4_CURLY;
        if (rules->drops_policy && (found & FOUND_POLICY)) continue;
        count[0] += count_sentences(classes, line, tail);
        count[1]--;
        count[2] += citations;
        has_line = 1, to = tail;
    }
    const uint8_t *from = out, *stop = to;
    strip(classes, &from, &stop);
    *num_out = stop - from;
    if (from > out) memmove(out, from, (size_t)*num_out);
    return C4_KEPT;
}

#endif
