/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: stand in for mmap and munmap under the readers (tests.cmake renames their calls). A mapping ends with its
 * page, so that sanitizers do not see a read behind a file's end; memory of just the file's size has no such slack.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *fuzz_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset);
int fuzz_munmap(void *at, size_t size);

void *fuzz_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    void *memory = malloc(size);

    if (!memory || pread(file, memory, size, offset) != (ssize_t)size) {
        free(memory);
        return MAP_FAILED;
    }
    return memory;
}

int fuzz_munmap(void *at, size_t size)
{
    free(at);
    return 0;
}
