/* Characters of UTF-8 text and their classes. Bytes that are no UTF-8 are characters of no class, one each, as in Python's
 * `bytes.decode("utf-8", "surrogateescape")`. classes.py fills the table of classes from Python's own str methods. */
#ifndef ORFEVRE_CHARS_H
#define ORFEVRE_CHARS_H

#include <stdint.h>
#include <string.h>

#define CLASS_POINTS 0x40000 /* entries of the table; no character beyond has a class */

enum {
    SPACE = 1,    /* str.isspace */
    ALPHA = 2,    /* str.isalpha */
    ALNUM = 4,    /* str.isalnum */
    MARK = 8,     /* punctuation: a word of these alone is a symbol */
    TERMINAL = 16, /* ends a sentence */
    LINE_END = 32, /* C4 lets a line end with it */
    DECIMAL = 64, /* str.isdecimal */
    BREAK = 128   /* str.splitlines */
};

/* Length of the character at `at` (1 to 4), its code point in *point; a byte that is no UTF-8 gives 1 and -1. */
static inline int64_t decode_char(const uint8_t *at, const uint8_t *end, int32_t *point)
{
    uint8_t a = at[0];
    int64_t left = end - at;
    *point = a;
    if (a < 0x80) return 1;
    *point = -1;
    if (a < 0xC2 || left < 2 || (at[1] & 0xC0) != 0x80) return 1;
    if (a < 0xE0) {
        *point = (a & 0x1F) << 6 | (at[1] & 0x3F);
        return 2;
    }
    if (left < 3 || (at[2] & 0xC0) != 0x80) return 1;
    if (a < 0xF0) {
        int32_t value = (a & 0x0F) << 12 | (at[1] & 0x3F) << 6 | (at[2] & 0x3F);
        if (value < 0x800 || (value >= 0xD800 && value < 0xE000)) return 1;
        *point = value;
        return 3;
    }
    if (a > 0xF4 || left < 4 || (at[3] & 0xC0) != 0x80) return 1;
    int32_t value = (a & 0x07) << 18 | (at[1] & 0x3F) << 12 | (at[2] & 0x3F) << 6 | (at[3] & 0x3F);
    if (value < 0x10000 || value > 0x10FFFF) return 1;
    *point = value;
    return 4;
}

static inline uint8_t class_of(const uint8_t *classes, int32_t point)
{
    return point >= 0 && point < CLASS_POINTS ? classes[point] : 0;
}

/* Length and class of the character at `at`. */
static inline int64_t next_char(const uint8_t *classes, const uint8_t *at, const uint8_t *end, uint8_t *class)
{
    int32_t point;
    int64_t length;
    if (at[0] < 0x80) {
        *class = classes[at[0]];
        return 1;
    }
    length = decode_char(at, end, &point);
    *class = class_of(classes, point);
    return length;
}

/* Length and class of the character that ends at `end`; `begin` < `end`. */
static inline int64_t last_char(const uint8_t *classes, const uint8_t *begin, const uint8_t *end, uint8_t *class)
{
    int32_t point;
    if (end[-1] < 0x80) {
        *class = classes[end[-1]];
        return 1;
    }
    for (int64_t length = 2; length <= 4 && length <= end - begin; length++)
        if (end[-length] >= 0xC2) {
            if (decode_char(end - length, end, &point) != length) break;
            *class = class_of(classes, point);
            return length;
        }
    *class = 0;
    return 1;
}

/* The range without white space at its ends, as str.strip. */
static inline void strip(const uint8_t *classes, const uint8_t **begin, const uint8_t **end)
{
    uint8_t class;
    while (*begin < *end) {
        int64_t length = next_char(classes, *begin, *end, &class);
        if (!(class & SPACE)) break;
        *begin += length;
    }
    while (*begin < *end) {
        int64_t length = last_char(classes, *begin, *end, &class);
        if (!(class & SPACE)) break;
        *end -= length;
    }
}

/* Characters in a range that begins and ends between characters. `valid` says that all of it is UTF-8. */
static inline int64_t count_chars(const uint8_t *at, const uint8_t *end, int valid)
{
    int64_t count = 0;
    if (valid) {
        for (; at < end; at++) count += (*at & 0xC0) != 0x80;
        return count;
    }
    for (int32_t point; at < end; count++) at += decode_char(at, end, &point);
    return count;
}

static inline int is_valid(const uint8_t *at, const uint8_t *end)
{
    for (int32_t point; at < end;) {
        if (*at < 0x80) {
            for (uint64_t eight; end - at >= 8; at += 8) {
                memcpy(&eight, at, 8);
                if (eight & UINT64_C(0x8080808080808080)) break;
            }
            while (at < end && *at < 0x80) at++;
            continue;
        }
        int64_t length = decode_char(at, end, &point);
        if (point < 0) return 0;
        at += length;
    }
    return 1;
}

/* Where the line that begins at `at` ends (str.splitlines); *next is where the one after it begins. */
static inline const uint8_t *line_end(const uint8_t *at, const uint8_t *end, const uint8_t **next)
{
    for (; at < end; at++) {
        uint8_t c = *at;
        if (c >= 0x20 && c < 0x80) continue;
        if ((c >= 10 && c <= 13) || (c >= 28 && c <= 30)) {
            *next = at + 1 + (c == '\r' && at + 1 < end && at[1] == '\n');
            return at;
        }
        if (c == 0xC2 && at + 1 < end && at[1] == 0x85) {
            *next = at + 2;
            return at;
        }
        if (c == 0xE2 && at + 2 < end && at[1] == 0x80 && (at[2] == 0xA8 || at[2] == 0xA9)) {
            *next = at + 3;
            return at;
        }
    }
    *next = end;
    return end;
}

/* The next '\n' or the end. */
static inline const uint8_t *newline(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *found = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return found ? found : end;
}

static inline int ends_with(const uint8_t *begin, const uint8_t *end, const char *tail, int64_t length)
{
    return end - begin >= length && !memcmp(end - length, tail, (size_t)length);
}

#endif
