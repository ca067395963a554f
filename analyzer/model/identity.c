/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: find weights by place in a file and by content.
 * Invariants: `by_count` and `places` are sorted for the life of the identity; a digest is computed once.
 */
#include "model/identity.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/content.h"
#include "model/tensors.h"

struct known { /* a digest that was computed; possible = false: there is none */
    struct tt_content content;
    bool possible;
    struct tt_digest digest;
};

struct candidate {
    const struct tt_model_tensor *tensor;
    uint64_t count;      /* elements */
    struct known *known; /* [nknown] */
    size_t nknown;
};

struct place {
    dev_t device;
    ino_t inode;
    const struct tt_model_tensor *tensor;
};

struct tt_identity {
    struct candidate *by_count; /* [ntensors] by number of elements, then as in the model */
    struct place *places;       /* [nplaces] by file, then offset */
    size_t ntensors, nplaces;
    int *heads; /* [nheads] */
    size_t nheads;
};

/* ---- set-up ---- */

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    int order = (a->count > b->count) - (a->count < b->count);
    return order ? order : (a->tensor > b->tensor) - (a->tensor < b->tensor);
}

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    return (a->tensor->offset > b->tensor->offset) - (a->tensor->offset < b->tensor->offset);
}

static void add_place(struct tt_identity *identity, const struct tt_model_tensor *tensor, const char **file,
                      struct stat *status)
{
    if (*file != tensor->file) { /* tensors of one file come together: one stat for each */
        *file = tensor->file;
        if (stat(tensor->file, status) != 0)
            *status = (struct stat){0};
    }
    if (tensor->nbytes > 0 && status->st_ino != 0)
        identity->places[identity->nplaces++] = (struct place){status->st_dev, status->st_ino, tensor};
}

struct tt_identity *tt_identity_new(const struct tt_model *model, const int *heads, size_t nheads)
{
    struct tt_identity *identity = tt_alloc(sizeof *identity);
    struct stat status = {0};
    const char *file = NULL;

    identity->ntensors = tt_model_ntensors(model);
    identity->by_count = tt_alloc_array(identity->ntensors + 1, sizeof *identity->by_count);
    identity->places = tt_alloc_array(identity->ntensors + 1, sizeof *identity->places);
    identity->heads = tt_alloc_array(nheads + 1, sizeof *identity->heads);
    identity->nheads = nheads;
    if (nheads > 0)
        memcpy(identity->heads, heads, nheads * sizeof *heads);
    for (size_t i = 0; i < identity->ntensors; i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        identity->by_count[i].tensor = tensor;
        tt_shape_count(tensor->rank, tensor->shape, &identity->by_count[i].count);
        add_place(identity, tensor, &file, &status);
    }
    qsort(identity->by_count, identity->ntensors, sizeof *identity->by_count, compare_candidates);
    qsort(identity->places, identity->nplaces, sizeof *identity->places, compare_places);
    return identity;
}

void tt_identity_free(struct tt_identity *identity)
{
    if (!identity)
        return;
    for (size_t i = 0; i < identity->ntensors; i++)
        free(identity->by_count[i].known);
    free(identity->by_count);
    free(identity->places);
    free(identity->heads);
    free(identity);
}

const char *tt_identity_transform_name(enum tt_identity_transform transform)
{
    static const char *const names[] = {"none", "dequantised", "transposed", "permuted"};
    return names[transform];
}

/* ---- by place ---- */

/* Places at or before `key`. */
static size_t places_until(const struct tt_identity *identity, const struct place *key)
{
    size_t low = 0, high = identity->nplaces;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_places(&identity->places[middle], key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool tt_identity_at(struct tt_identity *identity, const char *path, uint64_t offset,
                    struct tt_identity_match *match)
{
    struct stat status;
    struct tt_model_tensor wanted = {.offset = offset};

    if (stat(path, &status) != 0)
        return false;
    struct place key = {status.st_dev, status.st_ino, &wanted};
    size_t until = places_until(identity, &key);
    if (until == 0)
        return false;
    const struct place *place = &identity->places[until - 1];
    const struct tt_model_tensor *tensor = place->tensor;
    const struct tt_dtype_info *info = tt_dtype_info(tensor->dtype);
    uint64_t into = offset - tensor->offset;
    if (place->device != key.device || place->inode != key.inode || into >= tensor->nbytes)
        return false;
    if (into != 0 && (info->bytes == 0 || into % info->bytes != 0 || !tensor->data))
        return false;
    *match =
        (struct tt_identity_match){.tensor = tensor, .element = into ? into / info->bytes * info->block : 0};
    return true;
}

/* ---- by content ---- */

static bool same_content(const struct tt_content *a, const struct tt_content *b)
{
    return a->transform == b->transform && a->dtype == b->dtype && a->heads == b->heads &&
           a->to_interleaved == b->to_interleaved;
}

static const struct known *known_digest(struct candidate *candidate, const struct tt_content *content)
{
    for (size_t i = 0; i < candidate->nknown; i++)
        if (same_content(&candidate->known[i].content, content))
            return &candidate->known[i];
    candidate->known = tt_grow(candidate->known, candidate->nknown + 1, sizeof *candidate->known);
    struct known *known = &candidate->known[candidate->nknown++];
    *known = (struct known){.content = *content};
    known->possible = tt_content_possible(candidate->tensor, content);
    if (known->possible)
        tt_content_digest(candidate->tensor, content, &known->digest);
    return known;
}

struct search {
    const struct tt_digest *digest;
    struct tt_identity_match *matches; /* [room] */
    size_t room, found;
};

static void try_content(struct search *search, struct candidate *candidate, const struct tt_content *content)
{
    const struct known *known = known_digest(candidate, content);

    if (!known->possible || memcmp(&known->digest, search->digest, sizeof known->digest) != 0)
        return;
    if (search->found < search->room)
        search->matches[search->found] = (struct tt_identity_match){
            .tensor = candidate->tensor,
            .transform = content->transform,
            .heads = content->heads,
            .to_interleaved = content->to_interleaved,
        };
    search->found++;
}

/* At most one match a tensor: with four rows a head, say, both directions are the same. */
static void try_permutations(const struct tt_identity *identity, struct search *search,
                             struct candidate *candidate, enum tt_dtype dtype)
{
    size_t before = search->found;

    for (size_t i = 0; i < 2 * identity->nheads && search->found == before; i++) {
        struct tt_content content = {TT_IDENTITY_PERMUTED, dtype, identity->heads[i / 2], i % 2 == 0};
        try_content(search, candidate, &content);
    }
}

/* The first candidate of at least `count` elements. */
static size_t first_candidate(const struct tt_identity *identity, uint64_t count)
{
    size_t low = 0, high = identity->ntensors;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (identity->by_count[middle].count < count)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t tt_identity_find(struct tt_identity *identity, enum tt_dtype dtype, uint64_t count,
                        const struct tt_digest *digest, struct tt_identity_match *matches, size_t room)
{
    struct search search = {digest, matches, room, 0};
    size_t first = first_candidate(identity, count);

    for (int transform = TT_IDENTITY_NONE; transform <= TT_IDENTITY_PERMUTED && search.found == 0;
         transform++) {
        struct tt_content content = {(enum tt_identity_transform)transform, dtype, 0, false};
        for (size_t i = first; i < identity->ntensors && identity->by_count[i].count == count; i++) {
            if (transform == TT_IDENTITY_PERMUTED)
                try_permutations(identity, &search, &identity->by_count[i], dtype);
            else
                try_content(&search, &identity->by_count[i], &content);
        }
    }
    return search.found;
}
