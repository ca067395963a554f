/* SPDX-License-Identifier: Apache-2.0
 *
 * Heat map of a matrix in half blocks: one character shows two rows, the upper one as its foreground,
 * the lower one as its background.
 */
#include "report/picture.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

#define MOST_LINES   24 /* of text */
#define MOST_COLUMNS 96
#define LABEL_WIDTH  8

/* xterm-256 from far below zero (blue) over dark grey to far above (red); 7 = zero. */
static const unsigned char palette[15] = {51, 45, 39, 33, 27, 21, 18, 234, 52, 88, 124, 160, 196, 208, 226};
#define PALETTE_ZERO    7
#define COLOR_NONFINITE 201 /* magenta: on no value's scale */
static const char ramp[] = " .:-=+*#%@";

struct map {
    const double *values; /* [rows, columns] */
    size_t rows, columns;
    size_t height, width; /* cells shown */
    double largest;       /* finite magnitude */
};

/* The value of largest magnitude in cell (y, x); any non-finite one wins. */
static double cell_value(const struct map *map, size_t y, size_t x)
{
    double found = 0;
    for (size_t r = y * map->rows / map->height; r < (y + 1) * map->rows / map->height; r++)
        for (size_t c = x * map->columns / map->width; c < (x + 1) * map->columns / map->width; c++) {
            double value = map->values[r * map->columns + c];
            if (!isfinite(value))
                return value;
            if (fabs(value) > fabs(found))
                found = value;
        }
    return found;
}

static int color_of(const struct map *map, double value)
{
    if (!isfinite(value))
        return COLOR_NONFINITE;
    double scaled = map->largest > 0 ? value / map->largest * PALETTE_ZERO : 0;
    return palette[PALETTE_ZERO + (int)lround(scaled)];
}

static char letter_of(const struct map *map, double value)
{
    if (!isfinite(value))
        return '!';
    double scaled = map->largest > 0 ? fabs(value) / map->largest * (double)(sizeof ramp - 2) : 0;
    return ramp[(int)lround(scaled)];
}

static void print_label(const struct map *map, const struct tt_term *term, size_t y)
{
    fprintf(term->out, "  %s%*zu%s ", tt_style_begin(term, TT_DIM), LABEL_WIDTH - 3,
            y * map->rows / map->height, tt_style_end(term, TT_DIM));
}

static void print_color_line(const struct map *map, const struct tt_term *term, size_t y)
{
    int last_upper = -1, last_lower = -1;
    for (size_t x = 0; x < map->width; x++) {
        int upper = color_of(map, cell_value(map, y, x));
        int lower = y + 1 < map->height ? color_of(map, cell_value(map, y + 1, x)) : -1;
        if (upper != last_upper)
            fprintf(term->out, "\033[38;5;%dm", upper);
        if (lower != last_lower && lower >= 0)
            fprintf(term->out, "\033[48;5;%dm", lower);
        fputs("▀", term->out);
        last_upper = upper, last_lower = lower;
    }
    fputs("\033[0m\n", term->out);
}

static void print_letter_line(const struct map *map, const struct tt_term *term, size_t y)
{
    fputc('|', term->out);
    for (size_t x = 0; x < map->width; x++)
        fputc(letter_of(map, cell_value(map, y, x)), term->out);
    fputs("|\n", term->out);
}

static void print_caption(const struct map *map, const struct tt_term *term)
{
    struct tt_number largest = tt_real(map->largest);
    fprintf(term->out, "  %*s%s", LABEL_WIDTH - 2, "", tt_style_begin(term, TT_DIM));
    if (term->color)
        fprintf(term->out, "blue -%s, dark 0, red to yellow %s, magenta nan or inf", largest.text,
                largest.text);
    else
        fprintf(term->out, "blank 0 to @ %s in magnitude, ! nan or inf", largest.text);
    if (map->height < map->rows || map->width < map->columns)
        fprintf(term->out, "; %zux%zu values as %zux%zu cells, each its largest", map->rows, map->columns,
                map->height, map->width);
    fprintf(term->out, "%s\n", tt_style_end(term, TT_DIM));
}

void tt_heatmap_print(const struct tt_term *term, const double *values, size_t rows, size_t columns)
{
    struct map map = {.values = values, .rows = rows, .columns = columns};
    size_t room = term->width > LABEL_WIDTH + 16 ? (size_t)term->width - LABEL_WIDTH - 2 : MOST_COLUMNS;
    size_t step = term->color ? 2 : 1; /* rows of cells in a line of text */
    if (!rows || !columns)
        return;
    map.height = rows < MOST_LINES * step ? rows : MOST_LINES * step;
    map.width = columns < room ? columns : room;
    for (size_t i = 0; i < rows * columns; i++)
        if (isfinite(values[i]) && fabs(values[i]) > map.largest)
            map.largest = fabs(values[i]);
    if (term->markdown)
        fputs("```\n", term->out);
    for (size_t y = 0; y < map.height; y += step) {
        print_label(&map, term, y);
        if (term->color)
            print_color_line(&map, term, y);
        else
            print_letter_line(&map, term, y);
    }
    print_caption(&map, term);
    if (term->markdown)
        fputs("```\n\n", term->out);
}
