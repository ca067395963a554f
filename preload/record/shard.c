/* SPDX-License-Identifier: Apache-2.0
 *
 * Reserving, filling and closing safetensors shards (shard.h).
 */
#include "record/shard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/files.h"

#define SHARD_FIRST  (2u << 20)
#define SHARD_MOST   (256u << 20)
#define HEADER_LEAST (64u << 10)
#define HEADER_MOST  (4u << 20)
#define HEADER_FIXED 512 /* metadata and closing bracket */

void tt_shards_init(struct tt_shards *shards, const char *directory, uint64_t limit)
{
    memset(shards, 0, sizeof *shards);
    pthread_mutex_init(&shards->lock, NULL);
    shards->directory = directory;
    shards->limit = limit;
}

static uint64_t align(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static void choose_size(const struct tt_shards *shards, uint64_t nbytes, struct tt_shard *shard)
{
    uint64_t size = SHARD_FIRST;
    for (uint32_t i = 0; i < shards->created && size < SHARD_MOST; i++)
        size *= 4;
    size = size > SHARD_MOST ? SHARD_MOST : size;
    uint64_t header = size / 16;
    header = header < HEADER_LEAST ? HEADER_LEAST : header > HEADER_MOST ? HEADER_MOST : header;
    uint64_t left = shards->limit - shards->stored; /* what can still be stored bounds what is taken */
    uint64_t data = size - header < left ? size - header : align(left, TT_SHARD_PAGE);
    shard->data_start = header;
    shard->size = header + (data > nbytes ? data : align(nbytes, TT_SHARD_PAGE));
}

static void write_open_header(struct tt_shard *shard)
{
    uint64_t length = TT_SHARD_PAGE - 8, covered = shard->size - TT_SHARD_PAGE;
    memset(shard->memory, ' ', TT_SHARD_PAGE);
    memcpy(shard->memory, &length, sizeof length);
    int used = snprintf((char *)shard->memory + 8, length,
                        "{\"_open\":{\"dtype\":\"U8\",\"shape\":[%llu],\"data_offsets\":[0,%llu]}}",
                        (unsigned long long)covered, (unsigned long long)covered);
    shard->memory[8 + used] = ' ';
}

static int map_shard(struct tt_shard *shard, const char *temporary)
{
    int fd = tt_file_create(temporary, &shard->identity);
    if (fd < 0)
        return fd;
    int status = tt_file_allocate(fd, 0, shard->size);
    if (status == 0) {
        void *memory = mmap(NULL, shard->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        status = memory == MAP_FAILED ? -errno : 0;
        shard->memory = status ? NULL : memory;
    }
    close(fd);
    if (status == 0) {
        write_open_header(shard);
        status = rename(temporary, shard->path) ? -errno : 0;
    }
    if (status)
        unlink(temporary);
    return status;
}

static void free_shard(struct tt_shard *shard)
{
    if (shard->memory)
        munmap(shard->memory, shard->size);
    for (uint32_t i = 0; i < shard->nentries; i++)
        free(shard->entries[i].name);
    free(shard->entries);
    free(shard->path);
    free(shard);
}

/* Lock held. */
static int add_shard(struct tt_shards *shards, uint64_t nbytes)
{
    struct tt_shard *shard = calloc(1, sizeof *shard);
    char *temporary = NULL, name[64];
    int status = -ENOMEM;
    if (!shard)
        return status;
    shard->number = shards->created;
    shard->header_used = HEADER_FIXED;
    snprintf(name, sizeof name, TT_SHARD_PATTERN, shard->number);
    shard->path = tt_path_join(shards->directory, name);
    if (shard->path && asprintf(&temporary, "%s.new", shard->path) >= 0) {
        choose_size(shards, nbytes, shard);
        shard->used = shard->data_start;
        status = map_shard(shard, temporary);
        if (status == -ENOSPC && shard->size > align(nbytes, TT_SHARD_PAGE) + HEADER_LEAST) {
            shard->data_start = shard->used = HEADER_LEAST; /* a smaller one may still fit */
            shard->size = HEADER_LEAST + align(nbytes, TT_SHARD_PAGE);
            status = map_shard(shard, temporary);
        }
        free(temporary);
    }
    if (status) {
        free_shard(shard);
        return status;
    }
    shards->created++;
    shard->next = shards->open;
    shards->open = shard;
    return 0;
}

uint64_t tt_shard_header_cost(const struct tt_shard_entry *entry)
{
    bool logical = tt_dtype_info(entry->dtype)->safetensors == NULL;
    uint64_t name = strlen(entry->name) * 2;                 /* escapes */
    uint64_t cost = name + 100 + 21u * (unsigned)entry->rank; /* and data offsets */
    uint64_t pad = 120;
    return cost + pad + (logical ? name + 40 + 21u * (unsigned)entry->rank : 0);
}

static bool fits(const struct tt_shard *shard, uint64_t nbytes, uint64_t header_cost)
{
    return !shard->full && shard->size - shard->used >= nbytes &&
           shard->data_start - 8 - shard->header_used >= header_cost;
}

static void close_shard(struct tt_shards *shards, struct tt_shard *shard);

/* Lock held: no further place in it; gone now or with its last writer. */
static void retire(struct tt_shards *shards, struct tt_shard *shard)
{
    shard->full = true;
    if (shard->writers == 0)
        close_shard(shards, shard);
}

int tt_shards_reserve(struct tt_shards *shards, uint64_t nbytes, const struct tt_shard_entry *entry,
                      struct tt_place *place)
{
    uint64_t cost = tt_shard_header_cost(entry), padded = align(nbytes, TT_SHARD_ALIGN);
    if (cost > HEADER_LEAST / 4)
        return -ENAMETOOLONG;
    int status = 0;
    pthread_mutex_lock(&shards->lock);
    if (padded < nbytes || padded > shards->limit || shards->stored > shards->limit - padded)
        status = -EDQUOT;
    if (status == 0 && !(shards->open && fits(shards->open, padded, cost))) {
        struct tt_shard *previous = shards->open;
        status = add_shard(shards, padded);
        if (status == 0 && previous && !previous->full)
            retire(shards, previous);
    }
    if (status == 0) {
        struct tt_shard *shard = shards->open;
        *place = (struct tt_place){shard, shard->number, shard->used, nbytes, shard->memory + shard->used};
        shard->used += padded;
        shard->header_used += cost;
        shard->writers++;
        shards->stored += padded;
    }
    pthread_mutex_unlock(&shards->lock);
    return status;
}

static bool add_entry(struct tt_shard *shard, const struct tt_place *place, const struct tt_shard_entry *entry)
{
    if (shard->nentries == shard->room) {
        uint32_t room = shard->room ? shard->room * 2 : 64;
        struct tt_shard_entry *more = realloc(shard->entries, room * sizeof *more);
        if (!more)
            return false;
        shard->entries = more;
        shard->room = room;
    }
    struct tt_shard_entry *added = &shard->entries[shard->nentries];
    *added = *entry;
    added->name = strdup(entry->name);
    added->offset = place->offset;
    added->nbytes = place->nbytes;
    shard->nentries += added->name != NULL;
    return added->name != NULL;
}

void tt_shards_commit(struct tt_shards *shards, struct tt_place *place, const struct tt_shard_entry *entry)
{
    pthread_mutex_lock(&shards->lock);
    add_entry(place->shard, place, entry); /* without memory for it, it becomes padding */
    place->shard->writers--;
    if (place->shard->full && place->shard->writers == 0)
        close_shard(shards, place->shard);
    pthread_mutex_unlock(&shards->lock);
    place->memory = NULL;
}

uint64_t tt_shards_remaining(struct tt_shards *shards)
{
    pthread_mutex_lock(&shards->lock);
    uint64_t remaining = shards->limit - shards->stored;
    pthread_mutex_unlock(&shards->lock);
    return remaining;
}

/* Lock held. Failing leaves the shard in its open form, which stays valid. */
static void close_shard(struct tt_shards *shards, struct tt_shard *shard)
{
    int fd = tt_file_reopen(shard->path, &shard->identity);
    if (fd >= 0) {
        tt_shard_seal(fd, shard->number, shard->entries, shard->nentries, shard->data_start, shard->used);
        close(fd);
    }
    for (struct tt_shard **at = &shards->open; *at; at = &(*at)->next)
        if (*at == shard) {
            *at = shard->next;
            break;
        }
    free_shard(shard);
}

void tt_shards_close(struct tt_shards *shards)
{
    while (shards->open)
        close_shard(shards, shards->open);
    pthread_mutex_destroy(&shards->lock);
}

void tt_shards_forget(struct tt_shards *shards)
{
    while (shards->open) {
        struct tt_shard *shard = shards->open;
        shards->open = shard->next;
        free_shard(shard);
    }
}
