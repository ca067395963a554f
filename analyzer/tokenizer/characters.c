/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes come from utf8proc's tables (Unicode's general categories).
 */
#include "tokenizer/characters.h"

#include <string.h>

#include <utf8proc.h>

size_t tt_utf8_prefix(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t at = 0;
    while (at < length) {
        utf8proc_int32_t character;
        if (bytes[at] < 0x80) {
            at++;
            continue;
        }
        utf8proc_ssize_t n = utf8proc_iterate(bytes + at, (utf8proc_ssize_t)(length - at), &character);
        if (n < 1)
            break;
        at += (size_t)n;
    }
    return at;
}

size_t tt_utf8_length(unsigned char first)
{
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

int32_t tt_utf8_next(const char *text, size_t length, size_t *at)
{
    const unsigned char *p = (const unsigned char *)text + *at;
    size_t n = tt_utf8_length(*p);
    if (n > length - *at)
        n = 1;
    *at += n;
    switch (n) {
    case 2:
        return (p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3:
        return (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    case 4:
        return (p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 | (p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    default:
        return p[0];
    }
}

size_t tt_utf8_put(int32_t character, char *out)
{
    return (size_t)utf8proc_encode_char(character, (utf8proc_uint8_t *)out);
}

int tt_utf8_cut(const char *text, int most)
{
    int length = (int)strnlen(text, (size_t)most + 1);
    if (length <= most)
        return length;
    for (length = most; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
        length--;
    return length;
}

size_t tt_utf8_count(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static bool is_in(int32_t c, int first, int last)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category >= (utf8proc_category_t)first && category <= (utf8proc_category_t)last;
}

bool tt_is_space(int32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

bool tt_is_number(int32_t c)
{
    return c < 0x80 ? c >= '0' && c <= '9' : is_in(c, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool tt_is_punctuation(int32_t c)
{
    if (c < 0x80)
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    return is_in(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

bool tt_is_ideograph(int32_t c)
{
    static const int32_t blocks[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
                                        {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && c >= 0x3400; i++)
        if (c >= blocks[i][0] && c <= blocks[i][1])
            return true;
    return false;
}

bool tt_is_mark(int32_t c)
{
    return c >= 0x300 && is_in(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

bool tt_is_nonspacing(int32_t c)
{
    return c >= 0x300 && is_in(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MN);
}

bool tt_is_other(int32_t c)
{
    return is_in(c, UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO);
}

/* Letters that are symbols by category but alphabetic all the same. */
static bool is_circled_letter(int32_t c)
{
    return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
}

bool tt_is_word(int32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return is_in(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) || is_in(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PC) ||
           c == 0x200c || c == 0x200d || is_circled_letter(c);
}

bool tt_is_assigned(int32_t c)
{
    return c < 0x80 || utf8proc_category(c) != UTF8PROC_CATEGORY_CN;
}

int32_t tt_lower(int32_t c)
{
    return c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : utf8proc_tolower(c);
}

bool tt_folds_to_several(int32_t c)
{
    utf8proc_int32_t folded[8];
    int class = 0;
    return c >= 0x80 && utf8proc_decompose_char(c, folded, 8, UTF8PROC_CASEFOLD, &class) > 1;
}

static bool is_its_own_character(int c)
{
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* Printable bytes stand for themselves, the others follow from U+0100 on in their order. */
int32_t tt_byte_character(unsigned char byte)
{
    int before = 0;
    if (is_its_own_character(byte))
        return byte;
    for (int i = 0; i < byte; i++)
        before += !is_its_own_character(i);
    return 256 + before;
}

int tt_character_byte(int32_t character)
{
    if (character < 256)
        return is_its_own_character(character) ? character : -1;
    for (int byte = 0; byte < 256; byte++)
        if (tt_byte_character((unsigned char)byte) == character)
            return byte;
    return -1;
}
