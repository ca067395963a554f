/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and directories of a capture (files.h).
 */
#include "record/files.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/log.h"

#define MOST_DIRECTORIES 10000 /* of one program name and pid: pids come back */

char *tt_path_join(const char *directory, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

int tt_file_create(const char *path, struct tt_file_identity *identity)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    struct stat status;
    if (identity && fstat(fd, &status) == 0) {
        identity->device = status.st_dev;
        identity->inode = status.st_ino;
    }
    return fd;
}

int tt_file_reopen(const char *path, const struct tt_file_identity *identity)
{
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_ino != identity->inode || status.st_dev != identity->device) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

int tt_file_allocate(int fd, uint64_t offset, uint64_t nbytes)
{
    struct rlimit limit; /* going beyond it would raise a signal that kills the engine */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        offset + nbytes > limit.rlim_cur)
        return -EFBIG;
    return -posix_fallocate(fd, (off_t)offset, (off_t)nbytes);
}

static int write_all(int fd, const char *bytes, uint64_t nbytes)
{
    while (nbytes) {
        ssize_t written = write(fd, bytes, nbytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        bytes += written;
        nbytes -= (uint64_t)written;
    }
    return 0;
}

int tt_file_replace(const char *directory, const char *name, const void *bytes, uint64_t nbytes)
{
    char *path = tt_path_join(directory, name), *fresh = NULL;
    int status = -ENOMEM;
    if (!path || asprintf(&fresh, "%s.new", path) < 0)
        goto out;
    unlink(fresh);
    int fd = tt_file_create(fresh, NULL);
    status = fd < 0 ? fd : tt_file_allocate(fd, 0, nbytes ? nbytes : 1);
    if (status == 0)
        status = write_all(fd, bytes, nbytes);
    if (fd >= 0)
        close(fd);
    if (status == 0 && rename(fresh, path) != 0)
        status = -errno;
    if (status)
        unlink(fresh);
out:
    free(path);
    free(fresh);
    return status;
}

static int make_directory(char **out, const char *path)
{
    if (mkdir(path, 0700) != 0)
        return -errno;
    *out = realpath(path, NULL);
    return *out ? 0 : -errno;
}

/* A file name from a program name: whatever could confuse a shell becomes '_'. */
static void clean_name(char *out, size_t size, const char *program)
{
    size_t length = 0;
    for (; program[length] && length + 1 < size; length++) {
        unsigned char c = (unsigned char)program[length];
        out[length] = isalnum(c) || strchr("._+-", c) ? (char)c : '_';
    }
    out[length] = 0;
}

int tt_directory_create(char **out, const char *parent, const char *exact, const char *program)
{
    if (exact)
        return make_directory(out, exact);
    char name[64], path[PATH_MAX];
    clean_name(name, sizeof name, program && *program ? program : "program");
    if (mkdir(parent, 0700) != 0 && errno != EEXIST)
        return -errno;
    int status = -EEXIST;
    for (int n = 0; n < MOST_DIRECTORIES && status == -EEXIST; n++) {
        int length = snprintf(path, sizeof path, "%s/tensortap.%s.%ld", parent, name, (long)getpid());
        if (length >= 0 && n && (size_t)length < sizeof path)
            length += snprintf(path + length, sizeof path - (size_t)length, ".%d", n);
        if (length < 0 || (size_t)length >= sizeof path)
            return -ENAMETOOLONG;
        status = make_directory(out, path);
    }
    return status;
}
