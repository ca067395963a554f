/* SPDX-License-Identifier: Apache-2.0
 *
 * Styles, headings and facts.
 */
#include "report/term.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

#define FACT_COLUMN 14

static const char *const styles[TT_STYLE_COUNT] = {
    [TT_PLAIN] = "",         [TT_BOLD] = "\033[1m",    [TT_DIM] = "\033[2m",   [TT_RED] = "\033[31m",
    [TT_GREEN] = "\033[32m", [TT_YELLOW] = "\033[33m", [TT_CYAN] = "\033[36m",
};

struct tt_term tt_term_open(FILE *out, bool color, bool markdown)
{
    struct tt_term term = {.out = out, .color = color && !markdown, .markdown = markdown};
    struct winsize size;
    int descriptor = fileno(out);
    if (!markdown && isatty(descriptor))
        term.width = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    return term;
}

const char *tt_style_begin(const struct tt_term *term, enum tt_style style)
{
    return term->color ? styles[style] : "";
}

const char *tt_style_end(const struct tt_term *term, enum tt_style style)
{
    return term->color && style != TT_PLAIN ? "\033[0m" : "";
}

void tt_heading(const struct tt_term *term, const char *format, ...)
{
    va_list arguments;
    fputs(term->markdown ? "### " : tt_style_begin(term, TT_BOLD), term->out);
    va_start(arguments, format);
    vfprintf(term->out, format, arguments);
    va_end(arguments);
    fputs(tt_style_end(term, TT_BOLD), term->out);
    fputs(term->markdown ? "\n\n" : "\n", term->out);
}

void tt_fact_begin(const struct tt_term *term, const char *key)
{
    if (term->markdown)
        fprintf(term->out, *key ? "- %s: " : "  - %s", key);
    else
        fprintf(term->out, "  %s%-*s%s", tt_style_begin(term, TT_DIM), FACT_COLUMN, key,
                tt_style_end(term, TT_DIM));
}

void tt_fact(const struct tt_term *term, const char *key, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    tt_fact_begin(term, key);
    if (term->width && 2 + FACT_COLUMN + tt_columns(text, (size_t)length) > (size_t)term->width)
        tt_print_wrapped(term->out, text, 2 + FACT_COLUMN, term->width);
    else
        fprintf(term->out, "%s\n", text);
    free(text);
}

size_t tt_columns(const char *text, size_t bytes)
{
    size_t columns = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\033') /* a style takes no place */
            while (i + 1 < bytes && text[i] != 'm')
                i++;
        else
            columns += ((unsigned char)text[i] & 0xc0) != 0x80; /* continuation bytes take none either */
    }
    return columns;
}
