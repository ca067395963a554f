/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: read a .npy header, a Python dictionary literal, and bring the data into row-major little-endian form.
 * Invariant: the data of the shape that is returned lies within `size`.
 */
#include "model/npy.h"

#include <stdlib.h>

#include "model/file.h"
#include "model/tensors.h"

struct header {
    char *text;    /* the dictionary, terminated */
    uint64_t data; /* byte where the elements start */
    enum tt_dtype dtype;
    bool big_endian, fortran;
    int rank;
    int64_t shape[TT_TENSOR_RANK];
};

static int damaged(const char *what, const char *fault, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT, "%s: %s: it is damaged or no .npy array; save it again", what, fault);
}

/* Versions 2 and 3 have a wider length; 3 is UTF-8, which matters only for record field names. */
static int take_text(const uint8_t *bytes, uint64_t size, const char *what, struct header *header,
                     struct tt_error *error)
{
    uint64_t start, length;

    if (size < 12 || memcmp(bytes, TT_NPY_MAGIC, TT_NPY_MAGIC_BYTES) != 0)
        return damaged(what, "no NUMPY mark at its start", error);
    if (bytes[6] < 1 || bytes[6] > 3)
        return damaged(what, "its version is none of 1, 2, 3", error);
    start = bytes[6] == 1 ? 10 : 12;
    length = bytes[6] == 1 ? tt_load_u16(bytes + 8) : tt_load_u32(bytes + 8);
    if (length > size - start)
        return damaged(what, "its header is longer than the file", error);
    header->text = tt_alloc(length + 1);
    memcpy(header->text, bytes + start, length);
    header->data = start + length;
    return 0;
}

/* What follows 'key': in the dictionary, NULL: absent. */
static const char *field(const char *text, const char *key)
{
    char *quoted = tt_format("'%s':", key);
    const char *at = strstr(text, quoted);

    if (at)
        at += strlen(quoted);
    free(quoted);
    return at ? at + strspn(at, " ") : NULL;
}

static enum tt_dtype dtype_of(char kind, long bytes)
{
    static const struct {
        char kind;
        long bytes;
        enum tt_dtype dtype;
    } types[] = {
        {'f', 8, TT_F64}, {'f', 4, TT_F32}, {'f', 2, TT_F16}, {'b', 1, TT_BOOL},  {'i', 1, TT_I8},
        {'i', 2, TT_I16}, {'i', 4, TT_I32}, {'i', 8, TT_I64}, {'u', 1, TT_U8},    {'u', 2, TT_U16},
        {'u', 4, TT_U32}, {'u', 8, TT_U64}, {'c', 8, TT_C64}, {'c', 16, TT_C128},
    };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].kind == kind && types[i].bytes == bytes)
            return types[i].dtype;
    return TT_NONE;
}

/* '<f4' and its kin; anything else (text, objects, lists of record fields) is TT_NONE. */
static int take_descr(const char *what, struct header *header, struct tt_error *error)
{
    const char *at = field(header->text, "descr");
    char *end;

    if (!at)
        return damaged(what, "no 'descr' in its header", error);
    header->dtype = TT_NONE;
    if (*at != '\'' || !strchr("<>|=", at[1]) || at[1] == '\0' || at[2] == '\0')
        return 0;
    long bytes = strtol(at + 3, &end, 10);
    if (*end == '\'')
        header->dtype = dtype_of(at[2], bytes);
    header->big_endian = at[1] == '>';
    return 0;
}

static int take_order(const char *what, struct header *header, struct tt_error *error)
{
    const char *at = field(header->text, "fortran_order");

    if (!at || (strncmp(at, "True", 4) != 0 && strncmp(at, "False", 5) != 0))
        return damaged(what, "no 'fortran_order' in its header", error);
    header->fortran = *at == 'T';
    return 0;
}

static int take_shape(const char *what, struct header *header, struct tt_error *error)
{
    const char *at = field(header->text, "shape");

    if (!at || *at++ != '(')
        return damaged(what, "no 'shape' in its header", error);
    for (at += strspn(at, " "); *at != ')'; at += strspn(at, " ,")) {
        char *end;
        long long length = strtoll(at, &end, 10);
        if (end == at || length < 0)
            return damaged(what, "its shape is no tuple of lengths", error);
        if (header->rank == TT_TENSOR_RANK)
            return damaged(what, "more than 8 dimensions", error);
        header->shape[header->rank++] = length;
        at = end;
    }
    return 0;
}

static void swap_bytes(uint8_t *data, uint64_t nbytes, uint32_t width)
{
    for (uint64_t at = 0; at + width <= nbytes; at += width) {
        for (uint32_t i = 0; i < width / 2; i++) {
            uint8_t byte = data[at + i];
            data[at + i] = data[at + width - 1 - i];
            data[at + width - 1 - i] = byte;
        }
    }
}

/* Elements of `width` bytes, first index running fastest, to last index running fastest. */
static void reorder(const uint8_t *from, uint8_t *to, const struct header *header, uint64_t count,
                    uint32_t width)
{
    uint64_t index[TT_TENSOR_RANK] = {0}, stride[TT_TENSOR_RANK], step = 1, source = 0;

    for (int i = 0; i < header->rank; i++, step *= (uint64_t)header->shape[i - 1])
        stride[i] = step;
    for (uint64_t n = 0; n < count; n++) {
        memcpy(to + n * width, from + source * width, width);
        for (int i = header->rank - 1; i >= 0; i--) {
            source += stride[i];
            if (++index[i] < (uint64_t)header->shape[i])
                break;
            source -= stride[i] * index[i];
            index[i] = 0;
        }
    }
}

static void *converted(const uint8_t *data, const struct header *header, uint64_t count, uint64_t nbytes)
{
    uint32_t width = tt_dtype_info(header->dtype)->bytes;
    bool complex = header->dtype == TT_C64 || header->dtype == TT_C128;
    uint8_t *copy = tt_alloc(nbytes + 1);

    if (header->fortran)
        reorder(data, copy, header, count, width);
    else
        memcpy(copy, data, nbytes);
    if (header->big_endian)
        swap_bytes(copy, nbytes, complex ? width / 2 : width);
    return copy;
}

static int place(const uint8_t *bytes, uint64_t size, const char *what, const struct header *header,
                 struct tt_array *array, void **owned, struct tt_error *error)
{
    uint64_t count, nbytes;
    const uint8_t *data = bytes + header->data;

    if (!tt_shape_count(header->rank, header->shape, &count) ||
        !tt_block_bytes(count, 1, tt_dtype_info(header->dtype)->bytes, &nbytes))
        return damaged(what, "the product of its dimensions overflows", error);
    if (nbytes > size - header->data)
        return damaged(what, "it has fewer elements than its shape says", error);
    array->dtype = header->dtype;
    array->rank = header->rank;
    memcpy(array->shape, header->shape, sizeof array->shape);
    array->nbytes = nbytes;
    array->data = data;
    if (nbytes > 0 && ((header->fortran && header->rank > 1) || header->big_endian))
        array->data = *owned = converted(data, header, count, nbytes);
    return 0;
}

int tt_npy_parse(const uint8_t *bytes, uint64_t size, const char *what, struct tt_array *array, void **owned,
                 struct tt_error *error)
{
    struct header header = {0};
    int rc = take_text(bytes, size, what, &header, error);

    if (rc == 0)
        rc = take_descr(what, &header, error);
    if (rc == 0)
        rc = take_order(what, &header, error);
    if (rc == 0)
        rc = take_shape(what, &header, error);
    if (rc == 0)
        rc = place(bytes, size, what, &header, array, owned, error);
    free(header.text);
    return rc;
}
