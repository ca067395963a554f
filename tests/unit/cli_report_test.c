/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers, tables and pictures against what they have to look like.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/picture.h"
#include "report/sheet.h"
#include "report/values.h"
#include "checks.h"

static void check_text(const char *found, const char *expected)
{
    if (strcmp(found, expected) == 0)
        return;
    printf("expected:\n%s\nfound:\n%s\n", expected, found);
    failures++;
}

static void test_numbers(void)
{
    check_text(tt_bytes(0).text, "0 B");
    check_text(tt_bytes(1023).text, "1023 B");
    check_text(tt_bytes(1536).text, "1.5 KiB");
    check_text(tt_bytes(1048575).text, "1.0 MiB");
    check_text(tt_bytes(UINT64_MAX).text, "16.0 EiB");
    check_text(tt_count(0).text, "0");
    check_text(tt_count(1234567).text, "1,234,567");
    check_text(tt_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
    check_text(tt_real(-0.5).text, "-0.5");
    check_text(tt_real(NAN).text, "nan");
    check_text(tt_real(-INFINITY).text, "-inf");
    check_text(tt_real(1.5e-7).text, "1.50e-07");
    check_text(tt_plural(1, "call").text, "1 call");
    check_text(tt_plural(2, "library").text, "2 libraries");
    check_text(tt_plural(0, "pass").text, "0 passes");
    check_text(tt_shape((int64_t[]){4, 256}, 2).text, "4x256");
    check_text(tt_shape(NULL, 0).text, "scalar");
    check_text(tt_index_text(7, (int64_t[]){3, 4}, 2).text, "[1,3]");
}

/* What a table prints; owned by the caller. */
static char *print_table(const struct tt_sheet *table, int width, bool markdown)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    struct tt_term term = tt_term_open(out, false, markdown);
    term.width = width;
    tt_sheet_print(table, &term);
    fclose(out);
    return text;
}

static void test_table(void)
{
    static const struct tt_column columns[] = {
        {"name", TT_LEFT, TT_PLAIN, false},
        {"empty", TT_LEFT, TT_PLAIN, false},
        {"n", TT_RIGHT, TT_PLAIN, false},
        {"spare", TT_LEFT, TT_PLAIN, true},
    };
    static const char *const cells[] = {"a|b", "", "1", "x", "µ", "", "1234", ""};
    struct tt_sheet *table = tt_sheet_new(columns, 4);
    for (size_t i = 0; i < 8; i++)
        tt_sheet_cell(table, "%s", cells[i]);
    char *wide = print_table(table, 0, false), *narrow = print_table(table, 14, false),
         *md = print_table(table, 0, true);
    check_text(wide, "  name     n  spare\n  a|b      1  x\n  µ     1234\n");
    check_text(narrow, "  name     n\n  a|b      1\n  µ     1234\n");
    check_text(md, "| name | n | spare |\n|:---|---:|:---|\n| a\\|b | 1 | x |\n| µ | 1234 |  |\n\n");
    free(wide);
    free(narrow);
    free(md);
    tt_sheet_free(table);
}

static void test_moments(void)
{
    double values[] = {1, -3, NAN, 2, 0, INFINITY};
    struct tt_moments moments = tt_moments_of(values, 6);
    CHECK(moments.nan == 1 && moments.inf == 1 && moments.zero == 1 && moments.first_nonfinite == 2);
    CHECK(moments.min == -3 && moments.min_at == 1 && moments.max == 2 && moments.max_at == 3);
    CHECK(fabs(moments.mean) < 1e-15 && fabs(moments.rms - sqrt(14.0 / 4)) < 1e-14);
    double large[] = {1e300, -1e300};
    CHECK(fabs(tt_moments_of(large, 2).rms / 1e300 - 1) < 1e-14);
    CHECK(isnan(tt_moments_of(values + 2, 1).mean));
}

static void test_histogram(void)
{
    double values[] = {0, 1, 2, 3, 4, NAN};
    struct tt_histogram histogram = tt_histogram_of(values, 6, 4);
    CHECK(histogram.nbins == 4 && histogram.nonfinite == 1);
    CHECK(histogram.bins[0] == 1 && histogram.bins[1] == 1 && histogram.bins[2] == 1 &&
          histogram.bins[3] == 2);
    double constant[] = {5, 5, 5};
    CHECK(tt_histogram_of(constant, 3, 4).nbins == 1 && tt_histogram_of(constant, 3, 4).bins[0] == 3);
    CHECK(tt_histogram_of(values + 5, 1, 4).nbins == 0);
    double extreme[] = {-DBL_MAX, DBL_MAX};
    histogram = tt_histogram_of(extreme, 2, 4);
    CHECK(histogram.bins[0] == 1 && histogram.bins[3] == 1);
}

/* An outlier and a NaN in a matrix far larger than the picture have to stay visible. */
static void test_heatmap(void)
{
    size_t rows = 500, columns = 700;
    double *values = calloc(rows * columns, sizeof *values);
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    struct tt_term term = {.out = out, .width = 60};
    values[123 * columns + 456] = -9;
    values[400 * columns + 3] = NAN;
    tt_heatmap_print(&term, values, rows, columns);
    fflush(out);
    char *outlier = strchr(text, '@'), *nan = strchr(text, '!');
    CHECK(outlier && nan && outlier < nan && strchr(text, '|') < outlier);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (line[8] == '|')
            CHECK(strcspn(line, "\n") <= 60);
    fclose(out);
    free(text);
    out = open_memstream(&text, &length);
    term = (struct tt_term){.out = out, .width = 60, .color = true};
    tt_heatmap_print(&term, values, rows, columns);
    fclose(out);
    CHECK(strstr(text, "\033[38;5;51m") || strstr(text, "\033[48;5;51m"));
    CHECK(strstr(text, ";5;201m"));
    free(text);
    free(values);
}

int main(void)
{
    test_numbers();
    test_table();
    test_moments();
    test_histogram();
    test_heatmap();
    return failures != 0;
}
