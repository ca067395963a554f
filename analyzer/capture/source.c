/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that hold operand bytes, mapped once and kept until the capture is closed.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/capture.h"

static void map_source(struct source *source)
{
    struct stat status;
    int fd = open(source->path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (bytes != MAP_FAILED) {
            source->bytes = bytes;
            source->size = (uint64_t)status.st_size;
        }
    }
    if (fd >= 0)
        close(fd);
    source->tried = true;
}

/* Lock held. Sources are few: shards and model files. */
static struct source *find_source(struct tt_capture *capture, const char *path)
{
    for (size_t i = 0; i < capture->nsources; i++)
        if (strcmp(capture->sources[i]->path, path) == 0)
            return capture->sources[i];
    capture->sources = tt_grow(capture->sources, capture->nsources + 1, sizeof *capture->sources);
    struct source *source = tt_alloc(sizeof *source);
    source->path = tt_strdup(path);
    capture->sources[capture->nsources++] = source;
    return source;
}

const struct source *capture_source(const struct tt_capture *capture, const char *path)
{
    struct tt_capture *writable = (struct tt_capture *)capture; /* a cache behind a const face */
    pthread_mutex_lock(&writable->lock);
    struct source *source = find_source(writable, path);
    if (!source->tried)
        map_source(source);
    pthread_mutex_unlock(&writable->lock);
    return source->bytes ? source : NULL;
}

void capture_sources_free(struct tt_capture *capture)
{
    for (size_t i = 0; i < capture->nsources; i++) {
        struct source *source = capture->sources[i];
        if (source->bytes)
            munmap((void *)source->bytes, source->size);
        free(source->path);
        free(source);
    }
    free(capture->sources);
}
