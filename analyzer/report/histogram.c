/* SPDX-License-Identifier: Apache-2.0
 *
 * Histogram: one line a bin, bars in eighths of a character.
 */
#include "report/picture.h"

#include <math.h>
#include <string.h>

#define BAR_WIDTH 40

struct tt_histogram tt_histogram_of(const double *values, size_t count, size_t nbins)
{
    struct tt_histogram histogram = {.low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            histogram.nonfinite++;
            continue;
        }
        histogram.low = fmin(histogram.low, values[i]);
        histogram.high = fmax(histogram.high, values[i]);
    }
    if (histogram.nonfinite == count)
        return histogram;
    histogram.nbins = histogram.low < histogram.high ? nbins : 1;
    /* Halves first: the span of finite values may itself overflow. */
    double half_span = histogram.high / 2 - histogram.low / 2;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        double place = half_span > 0 ? (values[i] / 2 - histogram.low / 2) / half_span : 0;
        size_t bin = (size_t)(place * (double)histogram.nbins);
        histogram.bins[bin < histogram.nbins ? bin : histogram.nbins - 1]++;
    }
    return histogram;
}

/* A bar of `length` characters, the last one in eighths. */
static void print_bar(const struct tt_term *term, double length)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int whole = (int)length;
    if (length <= 0)
        return;
    fprintf(term->out, "  %s", tt_style_begin(term, TT_CYAN));
    for (int i = 0; i < whole; i++)
        fputs("█", term->out);
    fputs(eighths[(int)((length - whole) * 8)], term->out);
    fputs(tt_style_end(term, TT_CYAN), term->out);
}

void tt_histogram_print(const struct tt_term *term, const struct tt_histogram *histogram)
{
    uint64_t most = 1;
    double width =
        histogram->nbins
            ? (histogram->high / (double)histogram->nbins - histogram->low / (double)histogram->nbins)
            : 0;
    if (term->markdown)
        fputs("```\n", term->out);
    for (size_t i = 0; i < histogram->nbins; i++)
        most = histogram->bins[i] > most ? histogram->bins[i] : most;
    for (size_t i = 0; i < histogram->nbins; i++) {
        double length = (double)histogram->bins[i] / (double)most * BAR_WIDTH;
        if (histogram->bins[i] && length < 0.125)
            length = 0.125; /* a single outlier stays visible */
        fprintf(term->out, "  %10s %10s", tt_real(histogram->low + width * (double)i).text,
                tt_count(histogram->bins[i]).text);
        print_bar(term, length);
        fputc('\n', term->out);
    }
    if (histogram->nonfinite)
        fprintf(term->out, "  %10s %10s\n", "nan, inf", tt_count(histogram->nonfinite).text);
    if (term->markdown)
        fputs("```\n\n", term->out);
}
