/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory map of this process (maps.h).
 */
#include "record/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "record/stats.h"

#define PROBE_PAGES 512
#define SAMPLES     16
#define SAMPLE_BYTES 64

/* All of a /proc file, terminated. NULL on failure. */
static char *read_all(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t capacity = 1 << 16, length = 0;
    char *text = fd < 0 ? NULL : malloc(capacity);
    while (text) {
        if (capacity - length < 4096) {
            char *more = realloc(text, capacity * 2);
            if (!more)
                break;
            text = more;
            capacity *= 2;
        }
        ssize_t got = read(fd, text + length, capacity - length - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (text)
        text[length] = 0;
    if (fd >= 0)
        close(fd);
    return text;
}

static bool identify(const char *path, uint64_t inode, struct tt_file_identity *identity)
{
    static const char deleted[] = " (deleted)";
    size_t length = strlen(path);
    struct stat status;
    if (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/memfd:", 7) == 0 ||
        (length >= sizeof deleted && strcmp(path + length - sizeof deleted + 1, deleted) == 0))
        return false;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_ino != inode)
        return false;
    identity->device = status.st_dev;
    identity->inode = status.st_ino;
    identity->size = (uint64_t)status.st_size;
    identity->mtime = (uint64_t)status.st_mtim.tv_sec * 1000000000u + (uint64_t)status.st_mtim.tv_nsec;
    return true;
}

static bool is_elf(const char *path)
{
    char start[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool elf = fd >= 0 && read(fd, start, sizeof start) == (ssize_t)sizeof start && memcmp(start, "\177ELF", 4) == 0;
    if (fd >= 0)
        close(fd);
    return elf;
}

/* Index of the file, -1 when there is no memory for it. Entries are never removed: the log names them. */
static int find_file(struct tt_maps *maps, const char *path, uint64_t inode)
{
    struct tt_file_identity identity = {.inode = inode};
    for (uint32_t i = maps->nfiles; i-- > 0;) /* mappings of one file come together */
        if (maps->files[i].identity.inode == inode && strcmp(maps->files[i].path, path) == 0)
            return (int)i;
    bool usable = identify(path, inode, &identity), program = usable && is_elf(path);
    struct tt_mapped_file *files = realloc(maps->files, (maps->nfiles + 1) * sizeof *files);
    char *copy = strdup(path);
    if (files)
        maps->files = files;
    if (!files || !copy) {
        free(copy);
        return -1;
    }
    files[maps->nfiles] = (struct tt_mapped_file){.path = copy, .identity = identity,
                                                  .usable = usable, .program = program};
    return (int)maps->nfiles++;
}

static bool parse_line(struct tt_maps *maps, char *line, struct tt_range *range)
{
    char mode[8];
    uint64_t inode;
    int path = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %" SCNu64 " %n", &range->start, &range->end,
               mode, &range->offset, &inode, &path) < 5)
        return false;
    range->readable = mode[0] == 'r';
    range->writable = mode[1] == 'w';
    range->shared = mode[3] == 's';
    range->file = inode && path && line[path] == '/' ? find_file(maps, line + path, inode) : -1;
    return true;
}

int tt_maps_read(struct tt_maps *maps)
{
    char *text = read_all("/proc/self/maps"), *rest, *line;
    if (!text)
        return errno ? -errno : -ENOMEM;
    uint32_t lines = 1, count = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    struct tt_range *ranges = malloc(lines * sizeof *ranges);
    if (ranges) {
        for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            count += parse_line(maps, line, &ranges[count]);
        free(maps->ranges);
        maps->ranges = ranges;
        maps->nranges = count;
        maps->unknown = 0;
    }
    free(text);
    return ranges ? 0 : -ENOMEM;
}

void tt_maps_free(struct tt_maps *maps)
{
    for (uint32_t i = 0; i < maps->nfiles; i++)
        free(maps->files[i].path);
    free(maps->files);
    free(maps->ranges);
    memset(maps, 0, sizeof *maps);
}

static uint32_t first_ending_after(const struct tt_maps *maps, uint64_t address)
{
    uint32_t low = 0, high = maps->nranges;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (maps->ranges[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool tt_maps_find(const struct tt_maps *maps, uint64_t start, uint64_t nbytes, struct tt_found *found)
{
    uint64_t at = start, end = start + nbytes;
    uint32_t i = first_ending_after(maps, start);
    *found = (struct tt_found){.readable = true, .file = -1};
    if (end < start || i == maps->nranges || maps->ranges[i].start > start)
        return false;
    const struct tt_range *first = &maps->ranges[i];
    found->file = first->file;
    found->offset = first->offset + (start - first->start);
    for (; at < end; i++) {
        const struct tt_range *range = &maps->ranges[i];
        if (i == maps->nranges || range->start > at)
            return false;
        if (range->file != first->file || range->offset - first->offset != range->start - first->start)
            found->file = -1;
        found->readable &= range->readable;
        found->writable |= range->writable;
        found->shared |= range->shared;
        at = range->end;
    }
    const struct tt_mapped_file *file = found->file >= 0 ? &maps->files[found->file] : NULL;
    if (file && (!file->usable || (file->program && found->writable)))
        found->file = -1;
    return true;
}

int tt_maps_probe(uint64_t start, uint64_t nbytes)
{
    uint8_t byte[PROBE_PAGES];
    struct iovec remote[PROBE_PAGES], local = {.iov_base = byte};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = start + nbytes, at = start;
    if (end < start)
        return -EFAULT;
    while (at < end) {
        size_t count = 0;
        for (; at < end && count < PROBE_PAGES; count++, at = (at / page + 1) * page)
            remote[count] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = 1};
        local.iov_len = count;
        ssize_t got = process_vm_readv(getpid(), &local, 1, remote, count, 0);
        if (got < 0)
            return -errno;
        if ((size_t)got != count)
            return -EFAULT;
    }
    return 0;
}

static bool same_sample(const struct tt_layout *layout, const uint8_t *low, const uint8_t *copy)
{
    uint64_t inner = layout->axes && layout->stride[layout->axes - 1] != layout->unit_bytes
                         ? layout->unit_bytes
                         : layout->line_bytes; /* bytes of a line that lie together */
    for (uint64_t i = 0; i < SAMPLES; i++) {
        uint64_t line = layout->lines > 1 ? (layout->lines - 1) * i / (SAMPLES - 1) : 0;
        uint64_t within = inner > SAMPLE_BYTES ? (inner - SAMPLE_BYTES) * (i * 7 % SAMPLES) / (SAMPLES - 1) : 0;
        uint64_t offset = (uint64_t)(tt_layout_line(layout, low, line) - low) + within;
        if (memcmp(low + offset, copy + offset, inner < SAMPLE_BYTES ? inner : SAMPLE_BYTES) != 0)
            return false;
    }
    return true;
}

bool tt_maps_compare(const struct tt_mapped_file *file, uint64_t offset, const struct tt_layout *layout,
                     const uint8_t *low, bool full)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    bool same = false;
    if (fd < 0)
        return false;
    uint64_t size = file->identity.size;
    if (fstat(fd, &status) == 0 && status.st_ino == file->identity.inode && (uint64_t)status.st_size == size &&
        size >= 4 && offset <= size && layout->span <= size - offset) {
        const uint8_t *copy = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (copy != MAP_FAILED) {
            if (full || file->program) { /* relocated pages are read-only but differ from the file */
                struct tt_digest ours = tt_digest_lines(layout, low, 0, layout->lines);
                struct tt_digest theirs = tt_digest_lines(layout, copy + offset, 0, layout->lines);
                same = memcmp(&ours, &theirs, sizeof ours) == 0;
            } else {
                same = same_sample(layout, low, copy + offset);
            }
            munmap((void *)copy, size);
        }
    }
    close(fd);
    return same;
}

bool tt_is_model_name(const char *path)
{
    static const char *const endings[] = {".gguf", ".safetensors", ".bin", ".pt",  ".pth",
                                          ".npz",  ".npy",         ".onnx", ".ggml", ".llamafile"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(path + length - ending, endings[i]) == 0)
            return true;
    }
    return false;
}
