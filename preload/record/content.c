/* SPDX-License-Identifier: Apache-2.0
 *
 * Storing content once (content.h).
 */
#include "record/content.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/prefix.h"
#include "record/recorder.h"
#include "record/stats.h"

#define FIRST_ROWS 5 /* of a truncated operand */
#define LAST_ROWS  3
#define RANDOM_ROWS 4

static uint64_t key_of(const struct tt_digest *digest)
{
    uint64_t key;
    memcpy(&key, digest->bytes, sizeof key);
    return key;
}

struct tt_content *tt_content_new(uint64_t nbytes, const struct tt_digest *digest, uint32_t nextents)
{
    struct tt_content *content = calloc(1, sizeof *content + nextents * sizeof content->extents[0]);
    if (content) {
        content->nbytes = nbytes;
        content->digest = *digest;
    }
    return content;
}

/* Segments are rows: content found under another row length is of use when its cuts fall on row ends. */
static bool suits(const struct tt_content *content, const struct tt_layout *layout)
{
    bool suits = content->nbytes == layout->bytes;
    for (uint32_t i = 0; i < content->nextents && suits; i++)
        suits = content->extents[i].begin % layout->line_bytes == 0 &&
                content->extents[i].nbytes % layout->line_bytes == 0;
    return suits;
}

static const struct tt_content *find_whole(struct tt_recorder *recorder, const struct tt_keep *keep)
{
    const struct tt_content *content;
    uint64_t cursor = 0, key = key_of(&keep->digest);
    pthread_mutex_lock(&recorder->lock);
    while ((content = tt_table_next(&recorder->contents.whole, key, &cursor)))
        if (memcmp(&content->digest, &keep->digest, sizeof keep->digest) == 0 && suits(content, keep->layout))
            break;
    pthread_mutex_unlock(&recorder->lock);
    return content;
}

static void publish(struct tt_recorder *recorder, struct tt_content *content)
{
    pthread_mutex_lock(&recorder->lock);
    content->next = recorder->contents.all;
    recorder->contents.all = content;
    if (!content->truncated)
        tt_table_add(&recorder->contents.whole, key_of(&content->digest), content);
    pthread_mutex_unlock(&recorder->lock);
}

/* The tensor as it is written: axes in memory order, or [rows, line] for a piece. */
static void describe(const struct tt_keep *keep, uint64_t lines, struct tt_shard_entry *entry)
{
    const struct tt_layout *layout = keep->layout;
    const struct tt_dtype_info *type = tt_dtype_info(keep->dtype);
    entry->dtype = keep->dtype;
    entry->rank = layout->axes;
    for (int i = 0; i < layout->axes; i++)
        entry->shape[i] = (int64_t)layout->extent[i];
    if (lines != layout->lines) {
        entry->rank = 2;
        entry->shape[0] = (int64_t)lines;
        entry->shape[1] = (int64_t)(layout->line_bytes / layout->unit_bytes);
    }
    if (entry->rank == 0 && type->block > 1) {
        entry->rank = 1;
        entry->shape[0] = 1;
    }
    if (entry->rank)
        entry->shape[entry->rank - 1] *= type->block;
}

static void append_blob(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_place *place,
                        const struct tt_shard_entry *entry)
{
    uint64_t where[3] = {place->number, place->offset, place->nbytes};
    uint16_t kind[4] = {0, (uint16_t)entry->dtype, 0, 0};
    tt_record_start(&thread->record, TT_RECORD_BLOB);
    tt_record_text(&thread->record, TT_TAG_NAME, entry->name);
    tt_record_bytes(&thread->record, TT_TAG_KIND, kind, sizeof kind);
    tt_record_bytes(&thread->record, TT_TAG_SHAPE, entry->shape, (uint32_t)(8 * (unsigned)entry->rank));
    tt_record_bytes(&thread->record, TT_TAG_PLACE, where, sizeof where);
    tt_recorder_append(recorder, thread);
}

int tt_content_store(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                     uint64_t first, uint64_t lines, struct tt_extent *extent)
{
    char name[192];
    struct tt_shard_entry entry = {.name = name};
    struct tt_place place;
    uint64_t nbytes = lines * keep->layout->line_bytes;
    if (lines == keep->layout->lines)
        snprintf(name, sizeof name, "%s", keep->name);
    else
        snprintf(name, sizeof name, "%s.row%llu", keep->name, (unsigned long long)first);
    describe(keep, lines, &entry);
    int status = tt_shards_reserve(&recorder->shards, nbytes, &entry, &place);
    if (status)
        return status;
    tt_layout_pack(keep->layout, keep->low, first, lines, place.memory);
    *extent = (struct tt_extent){first * keep->layout->line_bytes, nbytes, place.offset, place.number};
    append_blob(recorder, thread, &place, &entry);
    tt_shards_commit(&recorder->shards, &place, &entry);
    return 0;
}

static int store_whole(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                       struct tt_content **out)
{
    struct tt_content *content = tt_content_new(keep->layout->bytes, &keep->digest, 1);
    int status = -ENOMEM;
    if (content)
        status = tt_content_store(recorder, thread, keep, 0, keep->layout->lines, content->extents);
    if (status) {
        free(content);
        return status;
    }
    content->nextents = 1;
    *out = content;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Rows that show most of what goes wrong in a tensor too large to keep: its ends, the borders of
 * power-of-two blocks, some more at random (but the same ones for the same shape). */
static uint32_t choose_rows(uint64_t lines, uint64_t rows[32])
{
    uint32_t count = 0, kept = 0;
    uint64_t random = lines * 0x9E3779B97F4A7C15u;
    for (uint64_t i = 0; i < FIRST_ROWS && i < lines; i++)
        rows[count++] = i;
    for (uint64_t i = 0; i < LAST_ROWS && i < lines; i++)
        rows[count++] = lines - 1 - i;
    for (uint64_t border = 32; border <= 512 && border < lines; border *= 2) {
        rows[count++] = border - 1;
        rows[count++] = border;
    }
    for (int i = 0; i < RANDOM_ROWS; i++, random = random * 6364136223846793005u + 1442695040888963407u)
        rows[count++] = (random >> 33) % lines;
    qsort(rows, count, sizeof rows[0], by_value);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || rows[i] != rows[i - 1])
            rows[kept++] = rows[i];
    return kept;
}

static int store_some(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                      uint64_t share, struct tt_content **out)
{
    uint64_t rows[32], lines = keep->layout->lines;
    if (lines <= 32 || share / 32 < keep->layout->line_bytes)
        return -EDQUOT;
    uint32_t count = choose_rows(lines, rows);
    struct tt_content *content = tt_content_new(keep->layout->bytes, &keep->digest, count);
    if (!content)
        return -ENOMEM;
    content->truncated = true;
    int status = 0;
    for (uint32_t i = 0, run; i < count && status == 0; i += run) {
        for (run = 1; i + run < count && rows[i + run] == rows[i] + run;)
            run++;
        status = tt_content_store(recorder, thread, keep, rows[i], run, &content->extents[content->nextents]);
        content->nextents += status == 0;
    }
    if (content->nextents == 0) {
        free(content);
        return status;
    }
    *out = content;
    return 0;
}

int tt_content_keep(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                    const struct tt_content **out)
{
    *out = find_whole(recorder, keep);
    if (*out)
        return 0;
    if (!keep->store)
        return -ENOENT;
    struct tt_content *made = NULL;
    uint64_t remaining = tt_shards_remaining(&recorder->shards);
    uint64_t share = keep->whole ? remaining : tt_policy_share(remaining);
    int status = tt_prefix_store(recorder, thread, keep, share, &made);
    if (status == -ENOENT)
        status = keep->layout->bytes <= share ? store_whole(recorder, thread, keep, &made)
                                              : store_some(recorder, thread, keep, share, &made);
    if (status)
        return status;
    publish(recorder, made);
    if (!made->truncated)
        tt_prefix_learn(recorder, keep, made);
    *out = made;
    return 0;
}

void tt_content_segments(struct tt_record *record, const struct tt_content *content, uint64_t line_bytes)
{
    struct tt_segment_bytes *segment;
    segment = tt_record_room(record, TT_TAG_SEGMENTS, content->nextents * (uint32_t)sizeof *segment);
    for (uint32_t i = 0; segment && i < content->nextents; i++)
        segment[i] = (struct tt_segment_bytes){
            .first_row = content->extents[i].begin / line_bytes,
            .rows = content->extents[i].nbytes / line_bytes,
            .source = content->extents[i].shard,
            .offset = content->extents[i].offset,
            .row_stride = line_bytes,
        };
}

void tt_contents_free(struct tt_contents *contents)
{
    while (contents->all) {
        struct tt_content *content = contents->all;
        contents->all = content->next;
        free(content);
    }
    tt_prefixes_free(contents);
    tt_table_free(&contents->whole);
    memset(contents, 0, sizeof *contents);
}
