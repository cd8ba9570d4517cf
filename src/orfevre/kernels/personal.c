/* Where a text may hold personal data: places worth a closer look by curate/personal.py, found in one pass that ordinary
 * text leaves at once. personal.py has the same rules as regular expressions. A kernel with a plain C ABI.
 *
 *   EMAIL   around an '@': local characters before it (up to 64), domain characters after it (up to 255)
 *   NUMBER  digits with up to three separators between two, seven digits or more, or three dots or more; a leading '+'
 *           and '(' belong to it, and so does an A or B after a 2 (departments of Corsica)
 *   IBAN    two letters and two digits after no letter or digit, then 11 to 30 of both with single separators
 *   IPV6    hexadecimal digits and colons, with "::" or seven colons, between characters of no word
 */
#include <stdint.h>
#include <string.h>

enum { EMAIL, NUMBER, IBAN, IPV6 };

typedef struct {
    int64_t text, kind, begin, end; /* bytes of the text */
} place;

typedef struct {
    place *found;
    int64_t count, room; /* count may exceed room: then the caller comes back with more */
} places;

static inline int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }
static inline int is_letter(uint8_t c) { return (uint8_t)((c | 0x20) - 'a') < 26; }
static inline int is_alnum(uint8_t c) { return is_digit(c) || is_letter(c); }
static inline int is_hex(uint8_t c) { return is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 6; }
static inline int is_domain(uint8_t c) { return is_alnum(c) || c == '.' || c == '-'; }
static inline int is_local(uint8_t c) { return is_domain(c) || c == '_' || c == '%' || c == '+' || c == '\''; }

static inline void add(places *out, int64_t text, int64_t kind, int64_t begin, int64_t end)
{
    if (out->count < out->room) out->found[out->count] = (place){text, kind, begin, end};
    out->count++;
}

/* Bytes of the separator at `at`: one of the given ASCII ones, or U+00A0, U+202F; 0 for none. */
static inline int64_t separator(const uint8_t *at, const uint8_t *end, const char *plain)
{
    if (at >= end) return 0;
    if (*at < 0x80) return *at && strchr(plain, *at) != NULL;
    if (end - at >= 2 && at[0] == 0xC2 && at[1] == 0xA0) return 2;
    return end - at >= 3 && at[0] == 0xE2 && at[1] == 0x80 && at[2] == 0xAF ? 3 : 0;
}

static const uint8_t *find_email(places *out, int64_t d, const uint8_t *text, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at, *to = at + 1;
    while (from > text && at - from < 64 && is_local(from[-1])) from--;
    if (from == at || to >= end || !is_alnum(*to)) return at + 1;
    while (to < end && to - at <= 255 && is_domain(*to)) to++;
    add(out, d, EMAIL, from - text, to - text);
    return at + 1;
}

/* Does an IBAN begin two bytes before the digit at `at`? */
static void find_iban(places *out, int64_t d, const uint8_t *text, const uint8_t *at, const uint8_t *end)
{
    if (at - text < 2 || end - at < 13 || !is_letter(at[-1]) || !is_letter(at[-2]) || !is_digit(at[1])) return;
    if (at - text > 2 && is_alnum(at[-3])) return;
    const uint8_t *p = at + 2;
    int count = 0;
    while (count < 30) {
        int64_t gap = separator(p, end, " -");
        if (p + gap >= end || !is_alnum(p[gap])) break;
        p += gap + 1, count++;
    }
    if (count >= 11) add(out, d, IBAN, at - 2 - text, p - text);
}

static const uint8_t *find_number(places *out, int64_t d, const uint8_t *text, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at, *p = at + 1;
    int64_t digits = 1, dots = 0;
    for (;;) {
        const uint8_t *next = p;
        int64_t gap, own_dots = 0;
        if (next < end && (*next | 0x20) <= 'b' && (*next | 0x20) >= 'a' && next[-1] == '2') next++;
        for (int i = 0; i < 3 && (gap = separator(next, end, " .()/+-")) > 0; i++) own_dots += *next == '.', next += gap;
        if (next >= end || !is_digit(*next)) break;
        digits++, dots += own_dots, p = next + 1;
    }
    if (digits >= 7 || dots >= 3) {
        if (from > text && from[-1] == '(') from--;
        if (from > text && from[-1] == '+') from--;
        add(out, d, NUMBER, from - text, p - text);
    }
    return p;
}

static const uint8_t *find_ipv6(places *out, int64_t d, const uint8_t *text, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at, *to = at;
    int64_t colons = 0, doubled = 0;
    while (from > text && is_hex(from[-1])) from--;
    for (; to < end && (*to == ':' || is_hex(*to)); to++)
        if (*to == ':') colons++, doubled += to[-(to > text)] == ':' && to > from;
    if (colons < 7 && !doubled) return to;
    if (from > text && (is_alnum(from[-1]) || from[-1] == '_')) return to;
    if (to < end && (is_alnum(*to) || *to == '_')) return to;
    add(out, d, IPV6, from - text, to - text);
    return to;
}

static void find_in(places *out, int64_t d, const uint8_t *text, const uint8_t *end)
{
    const uint8_t *number_end = text, *colon_end = text;
    for (const uint8_t *at = text; at < end; at++) {
        uint8_t c = *at;
        if (c > '@' || c < '0') continue;
        if (c <= '9') {
            if (at < number_end) continue;
            find_iban(out, d, text, at, end);
            number_end = find_number(out, d, text, at, end);
        } else if (c == '@') {
            find_email(out, d, text, at, end);
        } else if (c == ':' && at >= colon_end && at + 1 < end && (at[1] == ':' || is_hex(at[1]))) {
            colon_end = find_ipv6(out, d, text, at, end);
        }
    }
}

/* Places in many texts; returns how many there are, of which the first `room` are in found [room].
 * text d is text[offset[d] .. offset[d + 1]). Any bytes will do. */
int64_t orfevre_personal(const uint8_t *text, const int64_t *offset, int64_t num_texts, place *found, int64_t room)
{
    places out = {found, 0, room};
    for (int64_t d = 0; d < num_texts; d++) find_in(&out, d, text + offset[d], text + offset[d + 1]);
    return out.count;
}
