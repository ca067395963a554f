/* SPDX-License-Identifier: Apache-2.0
 *
 * Records become calls, operands, marks and losses. Records come in sequence order, so a call precedes
 * its operands and the calls end up in order of their beginning.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "capture/capture.h"
#include "capture/operand.h"

/* ---- strings and memory ---- */

void *capture_keep(struct tt_capture *capture, void *allocation)
{
    if (capture->nblocks % 256 == 0)
        capture->blocks = tt_grow(capture->blocks, capture->nblocks + 256, sizeof *capture->blocks);
    capture->blocks[capture->nblocks++] = allocation;
    return allocation;
}

static char **string_slot(const struct strings *strings, const char *text, size_t length)
{
    size_t at = XXH3_64bits(text, length) & (strings->capacity - 1);
    while (strings->slots[at] && (strncmp(strings->slots[at], text, length) != 0 || strings->slots[at][length]))
        at = (at + 1) & (strings->capacity - 1);
    return &strings->slots[at];
}

static void strings_widen(struct strings *strings)
{
    struct strings wider = {.capacity = strings->capacity ? strings->capacity * 2 : 1024, .count = strings->count};
    wider.slots = tt_alloc_array(wider.capacity, sizeof *wider.slots);
    for (size_t i = 0; i < strings->capacity; i++)
        if (strings->slots[i])
            *string_slot(&wider, strings->slots[i], strlen(strings->slots[i])) = strings->slots[i];
    free(strings->slots);
    *strings = wider;
}

const char *capture_string(struct tt_capture *capture, const void *bytes, size_t length)
{
    struct strings *strings = &capture->strings;
    length = strnlen(bytes, length);
    if (strings->count * 2 >= strings->capacity)
        strings_widen(strings);
    char **slot = string_slot(strings, bytes, length);
    if (!*slot) {
        *slot = tt_alloc(length + 1);
        memcpy(*slot, bytes, length);
        strings->count++;
    }
    return *slot;
}

static const char *field_text(struct tt_capture *capture, const struct field *field)
{
    return capture_string(capture, field->value, field->length);
}

/* ---- calls ---- */

static bool decode_attribute(struct tt_capture *capture, const struct field *field, struct tt_attribute *attribute)
{
    uint32_t head[2];
    if (field->length < sizeof head)
        return false;
    memcpy(head, field->value, sizeof head);
    uint64_t padded = ((uint64_t)head[1] + 7) & ~(uint64_t)7;
    if (sizeof head + padded > field->length)
        return false;
    struct field value = {0, field->length - (uint32_t)(sizeof head + padded), field->value + sizeof head + padded};
    *attribute = (struct tt_attribute){.name = capture_string(capture, field->value + sizeof head, head[1]),
                                       .type = (int)head[0]};
    if (head[0] == TT_ATTR_I64)
        attribute->i = (int64_t)field_u64(&value, 0);
    else if (head[0] == TT_ATTR_F64)
        attribute->f = field_f64(&value, 0);
    else if (head[0] == TT_ATTR_STR)
        attribute->s = field_text(capture, &value);
    else
        return false;
    return true;
}

static void decode_call(struct tt_capture *capture, const struct record *record, struct tt_recorded_call *call)
{
    struct tt_attribute attributes[64];
    struct field field;
    uint32_t at = 0, count = 0;
    *call = (struct tt_recorded_call){.tap = "", .op = "", .routine = "", .thread = record->thread,
                                      .seq_begin = record->sequence};
    while (next_field(record, &at, &field)) {
        switch (field.tag) {
        case TT_TAG_ID: call->id = field_u64(&field, 0); break;
        case TT_TAG_PARENT: call->parent = field_u64(&field, 0); break;
        case TT_TAG_TAP: call->tap = field_text(capture, &field); break;
        case TT_TAG_OP: call->op = field_text(capture, &field); break;
        case TT_TAG_ROUTINE: call->routine = field_text(capture, &field); break;
        case TT_TAG_EPOCH: call->epoch = field_u64(&field, 0); break;
        case TT_TAG_TIME: call->time_begin = field_u64(&field, 0); break;
        case TT_TAG_DEVICE:
            call->device = field_u64(&field, 0);
            call->stream = field_u64(&field, 1);
            break;
        case TT_TAG_ATTRIBUTE:
            if (count < sizeof attributes / sizeof attributes[0])
                count += decode_attribute(capture, &field, &attributes[count]);
            break;
        default: break;
        }
    }
    if (count) {
        void *copy = capture_keep(capture, tt_alloc_array(count, sizeof attributes[0]));
        call->attributes = memcpy(copy, attributes, count * sizeof attributes[0]);
        call->nattributes = count;
    }
}

struct by_id {
    uint64_t id;
    size_t index;
};

static int compare_id(const void *a, const void *b)
{
    const struct by_id *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static struct by_id *sort_ids(const struct tt_capture *capture)
{
    struct by_id *ids = tt_alloc_array(capture->ncalls, sizeof *ids);
    for (size_t i = 0; i < capture->ncalls; i++)
        ids[i] = (struct by_id){capture->calls[i].id, i};
    if (capture->ncalls)
        qsort(ids, capture->ncalls, sizeof *ids, compare_id);
    return ids;
}

static struct tt_recorded_call *find_call(struct tt_capture *capture, const struct by_id *ids, uint64_t id)
{
    struct by_id key = {.id = id};
    const struct by_id *found = capture->ncalls ? bsearch(&key, ids, capture->ncalls, sizeof key, compare_id) : NULL;
    return found ? &capture->calls[found->index] : NULL;
}

static void decode_call_end(struct tt_capture *capture, const struct record *record, const struct by_id *ids)
{
    struct field field;
    struct tt_recorded_call *call = NULL;
    uint64_t time = 0;
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        if (field.tag == TT_TAG_CALL)
            call = find_call(capture, ids, field_u64(&field, 0));
        else if (field.tag == TT_TAG_TIME)
            time = field_u64(&field, 0);
    }
    if (call) {
        call->seq_end = record->sequence;
        call->time_end = time;
    }
}

static void decode_stack(struct tt_capture *capture, const struct record *record, const struct by_id *ids)
{
    struct field field;
    struct tt_recorded_call *call = NULL;
    const char *names[256];
    uint32_t count = 0;
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        if (field.tag == TT_TAG_CALL)
            call = find_call(capture, ids, field_u64(&field, 0));
        else if (field.tag == TT_TAG_FRAME_NAME && count < 256)
            names[count++] = field_text(capture, &field);
    }
    if (call && count && !call->frames) {
        call->frames = memcpy(capture_keep(capture, tt_alloc_array(count, sizeof *names)), names,
                              count * sizeof *names);
        call->nframes = count;
    }
}

/* ---- marks, losses, mappings ---- */

static void decode_mark(struct tt_capture *capture, const struct record *record)
{
    struct field field;
    struct tt_mark *mark = &capture->marks[capture->nmarks++];
    *mark = (struct tt_mark){.seq = record->sequence, .text = ""};
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        if (field.tag == TT_TAG_TIME)
            mark->time = field_u64(&field, 0);
        else if (field.tag == TT_TAG_EPOCH)
            mark->epoch = field_u64(&field, 0);
        else if (field.tag == TT_TAG_TEXT)
            mark->text = field_text(capture, &field);
    }
}

/* Loss records are cumulative: a later one of the same name replaces the earlier. Texts are interned. */
static void put_loss(struct tt_capture *capture, struct tt_loss loss)
{
    for (size_t i = 0; i < capture->nlosses; i++)
        if (capture->losses[i].what == loss.what && capture->losses[i].detail == loss.detail) {
            capture->losses[i] = loss;
            return;
        }
    capture->losses = tt_grow(capture->losses, capture->nlosses + 1, sizeof loss);
    capture->losses[capture->nlosses++] = loss;
}

static void decode_loss(struct tt_capture *capture, const struct record *record)
{
    struct field field;
    struct tt_loss loss = {.what = capture_string(capture, "", 0), .detail = capture_string(capture, "", 0)};
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        if (field.tag == TT_TAG_WHAT)
            loss.what = field_text(capture, &field);
        else if (field.tag == TT_TAG_DETAIL)
            loss.detail = field_text(capture, &field);
        else if (field.tag == TT_TAG_COUNT)
            loss.count = field_u64(&field, 0);
        else if (field.tag == TT_TAG_BYTES)
            loss.bytes = field_u64(&field, 0);
    }
    if (capture->nlosses < 65536)
        put_loss(capture, loss);
}

static void decode_mapping(struct tt_capture *capture, const struct record *record)
{
    struct field field;
    struct mapping mapping = {0};
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        if (field.tag == TT_TAG_ID)
            mapping.id = field_u64(&field, 0);
        else if (field.tag == TT_TAG_PATH)
            mapping.path = (char *)field_text(capture, &field);
        else if (field.tag == TT_TAG_IDENTITY) {
            mapping.size = field_u64(&field, 2);
            mapping.mtime = field_u64(&field, 3);
        }
    }
    if (mapping.path)
        capture->mappings[capture->nmappings++] = mapping;
}

/* ---- all ---- */

static size_t count_type(const struct tt_capture *capture, uint16_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < capture->nrecords; i++)
        count += capture->records[i].type == type;
    return count;
}

/* Gives each call the list of its operands, in the order recorded. */
static void attach_operands(struct tt_capture *capture, const struct by_id *ids)
{
    const struct tt_operand **list = capture_keep(capture, tt_alloc_array(capture->noperands, sizeof *list));
    uint64_t orphans = 0;
    for (size_t i = 0; i < capture->noperands; i++) {
        struct tt_recorded_call *call = find_call(capture, ids, capture->operands[i].call);
        if (call)
            call->noperands++;
        else
            orphans++;
    }
    for (size_t i = 0; i < capture->ncalls; i++) {
        capture->calls[i].operands = list;
        list += capture->calls[i].noperands;
        capture->calls[i].noperands = 0;
    }
    for (size_t i = 0; i < capture->noperands; i++) {
        struct tt_recorded_call *call = find_call(capture, ids, capture->operands[i].call);
        if (call)
            ((const struct tt_operand **)call->operands)[call->noperands++] = &capture->operands[i];
    }
    if (orphans)
        put_loss(capture, (struct tt_loss){capture_string(capture, TT_LOSS_TORN, strlen(TT_LOSS_TORN)),
                                           "operands whose call is lost", orphans, 0});
}

static void allocate(struct tt_capture *capture)
{
    capture->calls = tt_alloc_array(count_type(capture, TT_RECORD_CALL), sizeof *capture->calls);
    capture->operands = tt_alloc_array(count_type(capture, TT_RECORD_OPERAND), sizeof *capture->operands);
    capture->marks = tt_alloc_array(count_type(capture, TT_RECORD_MARK), sizeof *capture->marks);
    capture->mappings = tt_alloc_array(count_type(capture, TT_RECORD_MAPPING), sizeof *capture->mappings);
}

void capture_index(struct tt_capture *capture)
{
    allocate(capture);
    for (size_t i = 0; i < capture->nrecords; i++) {
        const struct record *record = &capture->records[i];
        if (record->type == TT_RECORD_CALL)
            decode_call(capture, record, &capture->calls[capture->ncalls++]);
        else if (record->type == TT_RECORD_MAPPING)
            decode_mapping(capture, record);
        else if (record->type == TT_RECORD_MARK)
            decode_mark(capture, record);
        else if (record->type == TT_RECORD_LOSS)
            decode_loss(capture, record);
        else if (record->type == TT_RECORD_END)
            capture->finished = true;
    }
    struct by_id *ids = sort_ids(capture);
    for (size_t i = 0; i < capture->nrecords; i++) {
        const struct record *record = &capture->records[i];
        if (record->type == TT_RECORD_OPERAND)
            capture_operand(capture, record, &capture->operands[capture->noperands++]);
        else if (record->type == TT_RECORD_CALL_END)
            decode_call_end(capture, record, ids);
        else if (record->type == TT_RECORD_STACK)
            decode_stack(capture, record, ids);
    }
    capture_late(capture);
    attach_operands(capture, ids);
    free(ids);
    if (capture->torn)
        put_loss(capture, (struct tt_loss){capture_string(capture, TT_LOSS_TORN, strlen(TT_LOSS_TORN)),
                                           "blocks of the log that end in a broken record", capture->torn, 0});
}
