/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening, closing and asking a capture (include/tensortap/reader.h).
 */
#include "capture/capture.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_MANIFEST (64 << 20)

static int map_log(struct tt_capture *capture, struct tt_error *error)
{
    char *path = tt_format("%s/%s", capture->path, TT_LOG_FILE);
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC), result = -1;
    if (fd < 0 || fstat(fd, &status) != 0) {
        tt_fail(error, TT_EINPUT, "%s: %s", path, strerror(errno));
    } else if (status.st_size == 0) {
        tt_fail(error, TT_EINPUT, "%s: empty; the program ended before anything was recorded", path);
    } else {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (bytes == MAP_FAILED) {
            tt_fail(error, TT_ESYSTEM, "%s: %s", path, strerror(errno));
        } else {
            capture->log = bytes;
            capture->log_bytes = (size_t)status.st_size;
            result = 0;
        }
    }
    if (fd >= 0)
        close(fd);
    free(path);
    return result;
}

/* A missing or damaged manifest is replaced by an empty object: the log says what matters. */
static void read_manifest(struct tt_capture *capture)
{
    char *path = tt_format("%s/%s", capture->path, TT_MANIFEST_FILE);
    struct stat status;
    FILE *file = fopen(path, "re");
    if (file && fstat(fileno(file), &status) == 0 && status.st_size > 0 && status.st_size < MOST_MANIFEST) {
        char *text = tt_alloc((size_t)status.st_size + 1);
        size_t length = fread(text, 1, (size_t)status.st_size, file);
        capture->manifest = cJSON_ParseWithLength(text, length);
        free(text);
    }
    if (file)
        fclose(file);
    free(path);
    if (!capture->manifest)
        capture->manifest = cJSON_CreateObject();
}

struct tt_capture *tt_capture_open(const char *path, struct tt_error *error)
{
    char *directory = capture_resolve(path, error);
    if (!directory)
        return NULL;
    struct tt_capture *capture = tt_alloc(sizeof *capture);
    capture->path = directory;
    pthread_mutex_init(&capture->lock, NULL);
    if (map_log(capture, error) != 0 || capture_scan(capture, error) != 0) {
        tt_capture_close(capture);
        return NULL;
    }
    read_manifest(capture);
    capture_index(capture);
    return capture;
}

void tt_capture_close(struct tt_capture *capture)
{
    if (!capture)
        return;
    capture_sources_free(capture);
    if (capture->log)
        munmap((void *)capture->log, capture->log_bytes);
    cJSON_Delete(capture->manifest);
    for (size_t i = 0; i < capture->strings.capacity; i++)
        free(capture->strings.slots[i]);
    for (size_t i = 0; i < capture->nblocks; i++)
        free(capture->blocks[i]);
    free(capture->strings.slots);
    free(capture->blocks);
    free(capture->records);
    free(capture->calls);
    free(capture->operands);
    free(capture->marks);
    free(capture->epochs);
    free(capture->losses);
    free(capture->mappings);
    free(capture->path);
    pthread_mutex_destroy(&capture->lock);
    free(capture);
}

const char *tt_capture_path(const struct tt_capture *capture)
{
    return capture->path;
}

const struct cJSON *tt_capture_manifest(const struct tt_capture *capture)
{
    return capture->manifest;
}

bool tt_capture_finished(const struct tt_capture *capture)
{
    return capture->finished;
}

size_t tt_capture_ncalls(const struct tt_capture *capture)
{
    return capture->ncalls;
}

const struct tt_recorded_call *tt_capture_call(const struct tt_capture *capture, size_t index)
{
    return index < capture->ncalls ? &capture->calls[index] : NULL;
}

size_t tt_capture_nmarks(const struct tt_capture *capture)
{
    return capture->nmarks;
}

const struct tt_mark *tt_capture_mark(const struct tt_capture *capture, size_t index)
{
    return index < capture->nmarks ? &capture->marks[index] : NULL;
}

size_t tt_capture_nepochs(const struct tt_capture *capture)
{
    return capture->nepochs;
}

const struct tt_epoch *tt_capture_epoch(const struct tt_capture *capture, size_t index)
{
    return index < capture->nepochs ? &capture->epochs[index] : NULL;
}

size_t tt_capture_nlosses(const struct tt_capture *capture)
{
    return capture->nlosses;
}

const struct tt_loss *tt_capture_loss(const struct tt_capture *capture, size_t index)
{
    return index < capture->nlosses ? &capture->losses[index] : NULL;
}

const struct tt_operand *tt_call_find(const struct tt_recorded_call *call, const char *role, enum tt_when when)
{
    for (uint32_t i = 0; i < call->noperands; i++)
        if (call->operands[i]->when == when && strcmp(call->operands[i]->role, role) == 0)
            return call->operands[i];
    return NULL;
}

static const struct tt_attribute *find_attribute(const struct tt_recorded_call *call, const char *name)
{
    for (uint32_t i = 0; i < call->nattributes; i++)
        if (strcmp(call->attributes[i].name, name) == 0)
            return &call->attributes[i];
    return NULL;
}

int64_t tt_call_attr_i64(const struct tt_recorded_call *call, const char *name, int64_t fallback)
{
    const struct tt_attribute *attribute = find_attribute(call, name);
    if (!attribute || attribute->type == TT_ATTR_STR)
        return fallback;
    bool whole = attribute->type == TT_ATTR_F64 && attribute->f >= -0x1p63 && attribute->f < 0x1p63;
    return attribute->type == TT_ATTR_I64 ? attribute->i : whole ? (int64_t)attribute->f : fallback;
}

double tt_call_attr_f64(const struct tt_recorded_call *call, const char *name, double fallback)
{
    const struct tt_attribute *attribute = find_attribute(call, name);
    if (!attribute || attribute->type == TT_ATTR_STR)
        return fallback;
    return attribute->type == TT_ATTR_F64 ? attribute->f : (double)attribute->i;
}

const char *tt_call_attr_str(const struct tt_recorded_call *call, const char *name)
{
    const struct tt_attribute *attribute = find_attribute(call, name);
    return attribute && attribute->type == TT_ATTR_STR ? attribute->s : NULL;
}
