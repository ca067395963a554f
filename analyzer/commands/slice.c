/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing and applying slices.
 */
#include "commands/slice.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct range {
    int64_t first, end; /* half open, within the axis */
    bool single;
};

/* An index or nothing at *at; negative ones count from the end. */
static int64_t take_bound(const char **at, int64_t extent, int64_t nothing)
{
    char *end;
    long long value = strtoll(*at, &end, 10);
    if (end == *at)
        return nothing;
    *at = end;
    return value < 0 ? value + extent : value;
}

static int parse_axis(const char **at, int axis, int64_t extent, struct range *range, const char *text,
                      struct tt_error *error)
{
    const char *start = *at;
    range->first = take_bound(at, extent, 0);
    range->single = **at != ':';
    if (range->single && *at == start)
        return tt_fail(error, TT_EINPUT, "slice '%s', axis %d: an index or a range like 0:3 was expected",
                       text, axis);
    range->end = range->first + 1;
    if (!range->single) {
        ++*at;
        range->end = take_bound(at, extent, extent);
        range->end = range->end < extent ? range->end : extent;
    }
    if (**at && **at != ',')
        return tt_fail(error, TT_EINPUT, "slice '%s', axis %d: unexpected '%s'", text, axis, *at);
    if (range->first < 0 || range->end > extent || range->first >= range->end)
        return tt_fail(error, TT_EINPUT, "slice '%s': axis %d has indices 0 to %" PRId64, text, axis,
                       extent - 1);
    *at += **at == ',';
    return 0;
}

/* Copies the part `ranges` of `from` [shape] row by row of the last axis. */
static void copy_part(const struct tt_values *from, const struct range *ranges, double *to)
{
    int64_t index[TT_MAX_RANK];
    int last = from->rank - 1;
    int64_t run = ranges[last].end - ranges[last].first;
    for (int i = 0; i < from->rank; i++)
        index[i] = ranges[i].first;
    for (;;) {
        int64_t offset = 0;
        for (int i = 0; i < from->rank; i++)
            offset = offset * from->shape[i] + index[i];
        memcpy(to, from->values + offset, (size_t)run * sizeof *to);
        to += run;
        int axis = last - 1;
        while (axis >= 0 && ++index[axis] == ranges[axis].end) {
            index[axis] = ranges[axis].first;
            axis--;
        }
        if (axis < 0)
            return;
    }
}

int tt_slice(struct tt_values *values, const char *text, struct tt_error *error)
{
    struct range ranges[TT_MAX_RANK];
    struct tt_values part = {.count = 1};
    const char *at = text;
    for (int i = 0; i < values->rank; i++) {
        ranges[i] = (struct range){0, values->shape[i], false};
        if (*at && parse_axis(&at, i, values->shape[i], &ranges[i], text, error) != 0)
            return -1;
        part.count *= (uint64_t)(ranges[i].end - ranges[i].first);
        if (!ranges[i].single)
            part.shape[part.rank++] = ranges[i].end - ranges[i].first;
    }
    if (*at)
        return tt_fail(error, TT_EINPUT, "slice '%s' has more axes than the tensor, which has %d", text,
                       values->rank);
    if (!values->rank || !part.count)
        return 0;
    part.values = tt_alloc_array(part.count, sizeof *part.values);
    copy_part(values, ranges, part.values);
    free(values->values);
    *values = part;
    return 0;
}
