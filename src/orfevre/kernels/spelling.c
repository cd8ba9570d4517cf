/* Which texts need a look before they are kept: most are spelled as they should be, and one fast pass says so.
 * spelling.py has the twin in Python. */
#include <stddef.h>
#include <stdint.h>

#define CONTROL 1 /* holds a character of Unicode's category Cc other than tab and newline */
#define COMPOSE 2 /* holds a character that may not be in NFC; all below U+0300 are */

/* U+2002 to U+207F, typographic punctuation, is in NFC always, and frequent. */
static inline uint32_t composes(uint8_t c, uint8_t next, uint8_t third)
{
    uint32_t punctuation = (c == 0xE2) & ((next == 0x80) | (next == 0x81)) & (third >= 0x82);
    return (c >= 0xCC) & !punctuation;
}

static inline uint32_t controls(uint8_t c, uint8_t next)
{
    uint32_t low = (c < 0x20) & (c != '\t') & (c != '\n');
    uint32_t high = (c == 0xC2) & (next >= 0x80) & (next < 0xA0);
    return low | (c == 0x7F) | high;
}

static uint8_t flags_of(const uint8_t *text, int64_t length)
{
    uint8_t control = 0, compose = 0;
    int64_t i = 0;
    for (; i + 2 < length; i++) {
        control |= (uint8_t)controls(text[i], text[i + 1]);
        compose |= (uint8_t)composes(text[i], text[i + 1], text[i + 2]);
    }
    for (; i < length; i++) {
        uint8_t next = i + 1 < length ? text[i + 1] : 0;
        control |= (uint8_t)controls(text[i], next);
        compose |= (uint8_t)composes(text[i], next, 0);
    }
    return (uint8_t)((control ? CONTROL : 0) | (compose ? COMPOSE : 0));
}

/* text: num_texts pointers to UTF-8 (any bytes are tolerated), length: their bytes; flags: uint8 [num_texts]. */
void orfevre_spelling(const uint8_t *const *text, const int64_t *length, int64_t num_texts, uint8_t *flags)
{
    for (int64_t t = 0; t < num_texts; t++) flags[t] = flags_of(text[t], length[t]);
}
