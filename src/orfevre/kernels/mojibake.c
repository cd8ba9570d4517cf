/* Lines that may be mojibake: UTF-8 that was decoded as Latin-1, Windows-125x or Mac Roman and so shows pairs of characters
 * that no language writes. Ordinary text of any script passes at once; curate/repair.py lets ftfy judge the rest.
 * mojibake.py has the same rules. A kernel with a plain C ABI.
 */
#include "chars.h"

enum { LOWER, UPPER, LETTER, PUNCTUATION, BLANK, SYMBOL, BOX };

static int kind_of(int32_t c)
{
    if (c == 0xA0 || (c >= 0x2000 && c <= 0x200F) || c == 0x202F || c == 0x2060 || c == 0x3000 || c == 0xFEFF) return BLANK;
    if (c < 0xC0) return c == 0xA1 || c == 0xAB || c == 0xBB || c == 0xBF ? PUNCTUATION : SYMBOL;
    if (c == 0xD7 || c == 0xF7) return SYMBOL;
    if (c < 0x100) return c < 0xDF ? UPPER : LOWER;
    if (c < 0x250) return c == 0x178 || (c < 0x138 || (c > 0x148 && c < 0x178) ? c % 2 == 0 : c % 2 == 1) ? UPPER : LOWER;
    if (c >= 0x2B0 && c < 0x370) return c < 0x300 ? SYMBOL : LETTER;
    if (c < 0x2010 || c >= 0x2C00) return c == 0xFFFD ? SYMBOL : LETTER;
    if ((c >= 0x2010 && c <= 0x2014) || c == 0x2018 || c == 0x2019 || c == 0x201C || c == 0x201D || c == 0x2022 || c == 0x2026)
        return PUNCTUATION;
    return c >= 0x2500 && c < 0x25A0 ? BOX : SYMBOL;
}

/* First bytes of two-byte UTF-8 as Windows-1252 shows them: what follows them is mojibake more often than not. */
static int is_lead(int32_t c) { return c == 0xC2 || c == 0xC3 || c == 0xCE || c == 0xD0 || c == 0xD1 || c == 0xD8 || c == 0xD9; }

/* Letters that Windows-1252 has where Latin-1 has controls. */
static int is_windows_letter(int32_t c)
{
    return c == 0x152 || c == 0x153 || c == 0x160 || c == 0x161 || c == 0x178 || c == 0x17D || c == 0x17E || c == 0x192;
}

static int is_suspect(int32_t a, int32_t b)
{
    int left = kind_of(a), right = kind_of(b);
    if (is_lead(a) || (a == 0x432 && b == 0x402)) return 1;
    if (left == BLANK || right == BLANK || (left == BOX && right == BOX)) return 0;
    if (left >= SYMBOL || right >= SYMBOL) return 1;
    if (left == UPPER) return right == PUNCTUATION || is_windows_letter(b);
    return (left == LOWER && right == UPPER) || (a == 0xE2 && is_windows_letter(b));
}

/* Is there a suspect in text[at .. end), a line? */
static int is_suspect_line(const uint8_t *at, const uint8_t *end)
{
    int32_t last = -1, point; /* last: code point of the non-ASCII character right before, or -1 */
    while (at < end) {
        if (*at < 0x80) {
            last = -1, at++;
            continue;
        }
        at += decode_char(at, end, &point);
        if (point < 0) {
            last = -1;
            continue;
        }
        if (point < 0xA0 || (last >= 0 && is_suspect(last, point))) return 1;
        if ((point == 0xC2 || point == 0xC3) && at < end && *at == ' ') return 1;
        if ((point | 1) == 0x153 && at < end && *at < 0x80 && (uint8_t)((*at | 0x20) - 'a') >= 26) return 1;
        last = point;
    }
    return 0;
}

static const uint8_t *next_wide(const uint8_t *at, const uint8_t *end)
{
    for (uint64_t eight; end - at >= 8; at += 8) {
        memcpy(&eight, at, 8);
        if (eight & UINT64_C(0x8080808080808080)) break;
    }
    while (at < end && *at < 0x80) at++;
    return at;
}

/* Suspect lines (between '\n') of many texts; returns how many there are, of which the first `room` are in found, int64
 * [room, 3]: number of the text, first byte, byte after the last. text d is text[offset[d] .. offset[d + 1]). */
int64_t orfevre_mojibake(const uint8_t *text, const int64_t *offset, int64_t num_texts, int64_t *found, int64_t room)
{
    int64_t count = 0;
    for (int64_t d = 0; d < num_texts; d++) {
        const uint8_t *begin = text + offset[d], *end = text + offset[d + 1], *at = begin;
        while ((at = next_wide(at, end)) < end) {
            const uint8_t *from = at, *stop = memchr(at, '\n', (size_t)(end - at));
            if (!stop) stop = end;
            if (is_suspect_line(at, stop)) { /* what stands before the first wide character matters to ftfy */
                while (from > begin && from[-1] != '\n') from--;
                if (count < room) {
                    found[3 * count] = d, found[3 * count + 1] = from - begin, found[3 * count + 2] = stop - begin;
                }
                count++;
            }
            at = stop;
        }
    }
    return count;
}
