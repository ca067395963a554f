/* SPDX-License-Identifier: Apache-2.0
 *
 * What both kinds of weight file share: mapping, lookup, conversion to float.
 */
#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int mapping_open(struct mapping *mapping, const char *path, struct problem *problem)
{
    struct stat status;
    int result = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail(problem, "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size < 16) {
        fail(problem, "%s: not a model file", path);
        goto out;
    }
    void *bytes = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        fail(problem, "%s: cannot map: %s", path, strerror(errno));
        goto out;
    }
    mapping->bytes = bytes;
    mapping->size = status.st_size;
    result = 0;
out:
    close(fd);
    return result;
}

void mapping_close(struct mapping *mapping)
{
    if (mapping->bytes)
        munmap((void *)mapping->bytes, mapping->size);
    mapping->bytes = NULL;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    mapping_close(&checkpoint->file);
    free(checkpoint->tensors);
    checkpoint->tensors = NULL;
}

const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->ntensors; i++)
        if (!strcmp(checkpoint->tensors[i].name, name))
            return &checkpoint->tensors[i];
    return NULL;
}

int64_t tensor_count(const struct tensor *tensor)
{
    int64_t count = 1;

    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

size_t storage_size(enum storage storage)
{
    static const size_t sizes[] = {[STORED_F32] = 4, [STORED_F16] = 2, [STORED_BF16] = 2, [STORED_OTHER] = 0};

    return sizes[storage];
}

static float half_to_float(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    float mantissa = bits & 1023;
    float value;

    if (exponent == 31)
        value = mantissa ? NAN : INFINITY;
    else if (exponent)
        value = ldexpf(1024 + mantissa, exponent - 25);
    else
        value = ldexpf(mantissa, -24);
    return bits >> 15 ? -value : value;
}

static float bf16_to_float(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

void tensor_to_float(const struct tensor *tensor, float *out)
{
    int64_t count = tensor_count(tensor);
    const uint8_t *bytes = tensor->data;

    if (tensor->storage == STORED_F32) {
        memcpy(out, bytes, count * sizeof(*out));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint16_t bits;

        memcpy(&bits, bytes + 2 * i, sizeof(bits));
        out[i] = tensor->storage == STORED_F16 ? half_to_float(bits) : bf16_to_float(bits);
    }
}

int config_check(const struct config *config, const char *path, struct problem *problem)
{
    const struct {
        const char *name;
        int value, most;
    } sizes[] = {
        {"layers", config->layers, 1024},         {"hidden size", config->hidden, 1 << 17},
        {"heads", config->heads, 1 << 12},        {"key/value heads", config->kv_heads, 1 << 12},
        {"head size", config->head_dim, 1 << 12}, {"ffn size", config->ffn, 1 << 20},
        {"vocabulary", config->vocab, 1 << 24},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return fail(problem, "%s: %s is missing or out of range", path, sizes[i].name);
    if (config->heads % config->kv_heads || config->head_dim % 2)
        return fail(problem, "%s: %d heads, %d key/value heads of size %d do not fit together", path,
                    config->heads, config->kv_heads, config->head_dim);
    if (!(config->theta > 1) || !(config->eps >= 0))
        return fail(problem, "%s: rope theta or norm epsilon is out of range", path);
    return 0;
}
