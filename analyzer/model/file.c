/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: map a file read-only. Invariant: a mapped tt_file has data for all of its size bytes.
 */
#include "model/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_regular(const char *path, uint64_t *size, struct tt_error *error)
{
    struct stat status;
    /* O_NONBLOCK: a FIFO in the place of a model must not hang the tool. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return tt_fail(error, TT_EINPUT, "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return tt_fail(error, TT_EINPUT, "%s: not a regular file; name the file itself", path);
    }
    *size = (uint64_t)status.st_size;
    return fd;
}

struct tt_file *tt_file_map(const char *path, struct tt_error *error)
{
    uint64_t size = 0;
    char real[PATH_MAX];
    void *data = NULL;
    int fd = open_regular(path, &size, error);

    if (fd < 0)
        return NULL;
    if (size > 0)
        data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (data == MAP_FAILED) {
        tt_fail(error, TT_ESYSTEM, "%s: cannot map %llu bytes: %s", path, (unsigned long long)size,
                strerror(errno));
        return NULL;
    }
    struct tt_file *file = tt_alloc(sizeof *file);
    file->path = tt_strdup(path);
    file->real = tt_strdup(realpath(path, real) ? real : path);
    file->data = data;
    file->size = size;
    return file;
}

void tt_file_unmap(struct tt_file *file)
{
    if (!file)
        return;
    if (file->data)
        munmap((void *)file->data, file->size);
    free(file->path);
    free(file->real);
    free(file);
}

/* Bytes that follow the lead byte, -1: no lead byte. */
static int utf8_follow(uint8_t lead)
{
    if (lead < 0x80)
        return 0;
    if (lead >= 0xc2 && lead < 0xe0)
        return 1;
    if (lead >= 0xe0 && lead < 0xf0)
        return 2;
    return lead >= 0xf0 && lead < 0xf5 ? 3 : -1;
}

/* Overlong forms, surrogates and code points above U+10FFFF show in the second byte. */
static bool utf8_second_valid(uint8_t lead, uint8_t second)
{
    switch (lead) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second < 0xa0;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second < 0x90;
    default:
        return true;
    }
}

bool tt_utf8_valid(const void *bytes, size_t length)
{
    const uint8_t *at = bytes, *end = at + length;

    while (at < end) {
        uint8_t lead = *at++;
        int follow = utf8_follow(lead);
        if (follow < 0 || follow > end - at || (follow && !utf8_second_valid(lead, *at)))
            return false;
        for (; follow > 0; follow--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

struct tt_printable tt_printable(const void *bytes, size_t length)
{
    struct tt_printable name = {""};
    const uint8_t *in = bytes;
    size_t room = sizeof name.text - 4, kept = length < room ? length : room;

    for (size_t i = 0; i < kept; i++)
        name.text[i] = in[i] >= 0x20 && in[i] < 0x7f ? (char)in[i] : '?';
    if (kept < length)
        memcpy(name.text + kept, "...", 4);
    return name;
}
