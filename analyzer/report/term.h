/* SPDX-License-Identifier: Apache-2.0
 *
 * Where text goes and what it may look like: colours, width, Markdown.
 */
#ifndef TT_REPORT_TERM_H
#define TT_REPORT_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct tt_term {
    FILE *out;
    bool color;    /* SGR sequences may be written */
    bool markdown; /* tables and headings as Markdown */
    int width;     /* columns of the terminal, 0: not a terminal, nothing is cut */
};

struct tt_term tt_term_open(FILE *out, bool color, bool markdown);

enum tt_style {
    TT_PLAIN,
    TT_BOLD,
    TT_DIM,
    TT_RED,
    TT_GREEN,
    TT_YELLOW,
    TT_CYAN,
    TT_STYLE_COUNT,
};

/* "" when the terminal takes no colours. */
const char *tt_style_begin(const struct tt_term *term, enum tt_style style);
const char *tt_style_end(const struct tt_term *term, enum tt_style style);

/* A heading of its own line: bold, or `### text` in Markdown. */
void tt_heading(const struct tt_term *term, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "  key       text": the lines of a fact sheet; an empty key continues the one above. */
void tt_fact(const struct tt_term *term, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The key alone; the caller prints the text and the line end. */
void tt_fact_begin(const struct tt_term *term, const char *key);

/* Terminal columns of UTF-8 text with styles: code points; combining and wide characters are not used here.
 */
size_t tt_columns(const char *text, size_t bytes);

/* Numbers as people read them, by value so that several fit into one printf. */
struct tt_number {
    char text[64];
};
struct tt_number tt_bytes(uint64_t bytes);   /* "1.4 MiB" */
struct tt_number tt_count(uint64_t count);   /* "12,345" */
struct tt_number tt_real(double value);      /* "0.0123", "1.2e-07", "nan": four significant digits */
struct tt_number tt_seconds(double seconds); /* "1.2 s", "35 ms", "2 min 03 s" */
struct tt_number tt_shape(const int64_t *shape, int rank); /* "4x256", "scalar" */
/* "1 call", "12 calls", "2 passes", "3 libraries" */
struct tt_number tt_plural(uint64_t count, const char *singular);

#endif
