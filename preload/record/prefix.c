/* SPDX-License-Identifier: Apache-2.0
 *
 * Operands that grow by rows (prefix.h).
 */
#include "record/prefix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/recorder.h"
#include "record/stats.h"

#define MOST_PLANES    60 /* so that all their extents fit one operand */
#define MOST_SAME_ROW  8  /* planes remembered under one first row */
#define PLANE_EXTENTS  16
#define LEAST_ROW      32u /* bytes */
#define LEAST_PLANE    256u

struct prefix {
    struct prefix *next;
    struct tt_digest first, all; /* of the first row, of all rows */
    uint64_t row_bytes, rows;
    const struct tt_content *content; /* whose extents from `extent` hold the plane */
    uint32_t extent, nextents;
    uint64_t begin; /* of the plane in the content's packed bytes */
};

struct planes {
    uint64_t count, rows, row_bytes;
};

static bool split_planes(const struct tt_layout *layout, struct planes *planes)
{
    *planes = (struct planes){1, layout->lines, layout->line_bytes};
    if (layout->axes >= 2) {
        planes->rows = layout->extent[layout->axes - 2];
        planes->count = layout->lines / planes->rows;
    }
    return layout->lines && planes->count <= MOST_PLANES && planes->row_bytes >= LEAST_ROW &&
           planes->rows * planes->row_bytes >= (planes->rows > 1 ? LEAST_PLANE : LEAST_ROW);
}

static uint64_t key_of(const struct tt_digest *first, uint64_t row_bytes)
{
    uint64_t key;
    memcpy(&key, first->bytes, sizeof key);
    return key ^ row_bytes;
}

static bool same(const struct tt_digest *a, const struct tt_digest *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Copies of the candidates for a plane, most rows first. */
static int candidates(struct tt_recorder *recorder, const struct tt_digest *first, const struct planes *planes,
                      struct prefix found[MOST_SAME_ROW])
{
    int count = 0;
    uint64_t cursor = 0;
    const struct prefix *prefix;
    pthread_mutex_lock(&recorder->lock);
    while (count < MOST_SAME_ROW &&
           (prefix = tt_table_next(&recorder->contents.prefixes, key_of(first, planes->row_bytes), &cursor))) {
        if (!same(&prefix->first, first) || prefix->row_bytes != planes->row_bytes ||
            prefix->rows > planes->rows)
            continue;
        int at = count++;
        for (; at > 0 && found[at - 1].rows < prefix->rows; at--)
            found[at] = found[at - 1];
        found[at] = *prefix;
    }
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

/* The longest known run of leading rows of the plane that begins at line `line`. */
static bool match_plane(struct tt_recorder *recorder, const struct tt_keep *keep, const struct planes *planes,
                        uint64_t line, struct prefix *match)
{
    struct prefix found[MOST_SAME_ROW];
    struct tt_digest first = tt_digest_lines(keep->layout, keep->low, line, 1);
    int count = candidates(recorder, &first, planes, found);
    for (int i = 0; i < count; i++) {
        struct tt_digest all = tt_digest_lines(keep->layout, keep->low, line, found[i].rows);
        if (same(&all, &found[i].all)) {
            *match = found[i];
            return true;
        }
    }
    return false;
}

/* Extent `i` of a known plane, clipped to it, with `begin` counted from the plane's start. */
static struct tt_extent plane_extent(const struct prefix *plane, uint32_t i)
{
    struct tt_extent extent = plane->content->extents[plane->extent + i];
    uint64_t end = extent.begin + extent.nbytes, plane_end = plane->begin + plane->rows * plane->row_bytes;
    uint64_t begin = extent.begin > plane->begin ? extent.begin : plane->begin;
    end = end < plane_end ? end : plane_end;
    extent.offset += begin - extent.begin;
    extent.begin = begin - plane->begin;
    extent.nbytes = end - begin;
    return extent;
}

/* How many of a plane's extents stay when `fresh` bytes follow: all while there are few, else those
 * that are long compared with all that comes after them. */
static uint32_t extents_kept(const struct prefix *plane, uint64_t fresh)
{
    uint32_t count = plane->nextents;
    if (count < PLANE_EXTENTS || fresh == 0)
        return count;
    uint64_t gathered = fresh;
    do
        gathered += plane_extent(plane, --count).nbytes;
    while (count > 0 && plane_extent(plane, count - 1).nbytes < 2 * gathered);
    return count;
}

/* Extents of one plane: those known, then the new rows. */
static int extend_plane(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                        const struct planes *planes, uint64_t line, const struct prefix *match,
                        struct tt_content *content)
{
    struct tt_extent *extents = content->extents + content->nextents;
    uint64_t known = 0;
    uint32_t count = match ? extents_kept(match, (planes->rows - match->rows) * planes->row_bytes) : 0;
    for (uint32_t i = 0; i < count; i++) {
        extents[i] = plane_extent(match, i);
        known += extents[i].nbytes / planes->row_bytes;
        extents[i].begin += line * planes->row_bytes;
    }
    int status = 0;
    if (known < planes->rows)
        status = tt_content_store(recorder, thread, keep, line + known, planes->rows - known, &extents[count++]);
    if (status == 0)
        content->nextents += count;
    return status;
}

int tt_prefix_store(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                    uint64_t share, struct tt_content **out)
{
    struct planes planes;
    struct prefix *matches = NULL;
    bool matched[MOST_PLANES] = {false}, any = false;
    if (!split_planes(keep->layout, &planes))
        return -ENOENT;
    matches = calloc(planes.count, sizeof *matches);
    if (!matches)
        return -ENOENT;
    uint64_t fresh = 0;
    for (uint64_t i = 0; i < planes.count; i++) {
        matched[i] = match_plane(recorder, keep, &planes, i * planes.rows, &matches[i]);
        any |= matched[i];
        fresh += (planes.rows - (matched[i] ? matches[i].rows : 0)) * planes.row_bytes;
        if (i == 3 && !any) /* nothing like it so far: do not hash every plane of a big tensor */
            break;
    }
    struct tt_content *content = NULL;
    int status = -ENOENT;
    if (any && fresh <= share && planes.count * (PLANE_EXTENTS + 1) <= TT_MAX_SEGMENTS)
        content = tt_content_new(keep->layout->bytes, &keep->digest,
                                 (uint32_t)planes.count * (PLANE_EXTENTS + 1));
    if (content)
        status = 0;
    for (uint64_t i = 0; i < planes.count && status == 0; i++)
        status = extend_plane(recorder, thread, keep, &planes, i * planes.rows,
                              matched[i] ? &matches[i] : NULL, content);
    free(matches);
    if (status)
        free(content);
    else
        *out = content;
    return status;
}

/* Puts what is known of a plane where a shorter state of it was, else in a free place. Lock held. */
static void remember(struct tt_contents *contents, const struct prefix *plane, const struct tt_digest *shorter)
{
    uint64_t cursor = 0, key = key_of(&plane->first, plane->row_bytes);
    struct prefix *at, *oldest = NULL;
    int count = 0;
    while ((at = tt_table_next(&contents->prefixes, key, &cursor))) {
        if (shorter && same(&at->all, shorter))
            break;
        oldest = oldest && oldest->rows <= at->rows ? oldest : at;
        count++;
    }
    if (!at && count >= MOST_SAME_ROW)
        at = oldest;
    struct prefix *next = at ? at->next : contents->all_prefixes;
    if (!at) {
        at = malloc(sizeof *at);
        if (!at || !tt_table_add(&contents->prefixes, key, at)) {
            free(at);
            return;
        }
        contents->all_prefixes = at;
    }
    *at = *plane;
    at->next = next;
}

/* Which extents of the content hold the plane; false when they do not hold all of it or are too many. */
static bool locate(const struct tt_content *content, struct prefix *plane)
{
    uint64_t end = plane->begin + plane->rows * plane->row_bytes, covered = plane->begin;
    for (uint32_t i = 0; i < content->nextents; i++) {
        const struct tt_extent *extent = &content->extents[i];
        if (extent->begin + extent->nbytes <= plane->begin || extent->begin >= end)
            continue;
        if (plane->nextents++ == 0)
            plane->extent = i;
        if (extent->begin > covered || extent->begin % plane->row_bytes || extent->nbytes % plane->row_bytes)
            return false;
        covered = extent->begin + extent->nbytes;
    }
    return covered >= end && plane->nextents <= PLANE_EXTENTS + 1;
}

void tt_prefix_learn(struct tt_recorder *recorder, const struct tt_keep *keep, const struct tt_content *content)
{
    struct planes planes;
    if (!split_planes(keep->layout, &planes))
        return;
    for (uint64_t i = 0; i < planes.count; i++) {
        struct prefix plane = {.row_bytes = planes.row_bytes, .rows = planes.rows, .content = content};
        struct prefix match;
        plane.begin = i * planes.rows * planes.row_bytes;
        if (!locate(content, &plane))
            continue;
        bool grown = match_plane(recorder, keep, &planes, i * planes.rows, &match);
        plane.first = tt_digest_lines(keep->layout, keep->low, i * planes.rows, 1);
        plane.all = planes.count == 1 ? keep->digest
                                      : tt_digest_lines(keep->layout, keep->low, i * planes.rows, planes.rows);
        pthread_mutex_lock(&recorder->lock);
        remember(&recorder->contents, &plane, grown ? &match.all : NULL);
        pthread_mutex_unlock(&recorder->lock);
    }
}

void tt_prefixes_free(struct tt_contents *contents)
{
    while (contents->all_prefixes) {
        struct prefix *prefix = contents->all_prefixes;
        contents->all_prefixes = prefix->next;
        free(prefix);
    }
    tt_table_free(&contents->prefixes);
}
