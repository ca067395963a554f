/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: from the pickle of a PyTorch archive to a list of tensors.
 * Invariant: every element that shape and strides of a listed tensor reach lies inside its storage.
 */
#include "model/torch.h"

#include <stdlib.h>

#include "model/pickle.h"
#include "model/zip.h"

#define LARGEST_PICKLE (64u << 20) /* bytes; about 100 a tensor are usual */
#define DEEPEST        32          /* nested dictionaries */
#define MOST_VISITS    (4u << 20)
#define LONGEST_NAME   4096 /* bytes */

/* Storage classes and types by name; other dtypes of a tensor cannot be read. */
static const struct {
    const char *global;
    enum tt_dtype dtype;
} types[] = {
    {"torch FloatStorage", TT_F32},         {"torch DoubleStorage", TT_F64},
    {"torch HalfStorage", TT_F16},          {"torch BFloat16Storage", TT_BF16},
    {"torch LongStorage", TT_I64},          {"torch IntStorage", TT_I32},
    {"torch ShortStorage", TT_I16},         {"torch CharStorage", TT_I8},
    {"torch ByteStorage", TT_U8},           {"torch BoolStorage", TT_BOOL},
    {"torch ComplexFloatStorage", TT_C64},  {"torch ComplexDoubleStorage", TT_C128},
    {"torch float32", TT_F32},              {"torch float64", TT_F64},
    {"torch float16", TT_F16},              {"torch bfloat16", TT_BF16},
    {"torch int64", TT_I64},                {"torch int32", TT_I32},
    {"torch int16", TT_I16},                {"torch int8", TT_I8},
    {"torch uint8", TT_U8},                 {"torch bool", TT_BOOL},
    {"torch uint16", TT_U16},               {"torch uint32", TT_U32},
    {"torch uint64", TT_U64},               {"torch float8_e4m3fn", TT_F8_E4M3},
    {"torch float8_e5m2", TT_F8_E5M2},      {"torch complex64", TT_C64},
    {"torch complex128", TT_C128},
};

/* Everything that may be named; types come behind. */
static const char *const globals[] = {
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state",
    "torch.storage UntypedStorage", "torch UntypedStorage", "torch Size", "torch device",
    "collections OrderedDict", "collections defaultdict", "builtins dict", "__builtin__ dict", "builtins set",
    "__builtin__ set",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct reading {
    const struct tt_file *file;
    struct tt_torch *torch;
    struct tt_error *error;
    bool weights;
    struct tt_zip_member *members;
    size_t nmembers;
    char **names;              /* [nmembers] terminated, for `index` */
    struct tt_names *index;    /* member by name */
    const uint8_t **storages;  /* [nmembers] bytes of those that were asked for */
    char *folder;              /* of the archive: "archive" */
    uint64_t visits;           /* values looked at, which may refer to each other endlessly */
};

bool tt_torch_is(const struct tt_file *file)
{
    static const uint8_t legacy[] = {0x80, 0x02, 0x8a, 0x0a};
    return file->size >= 4 && (memcmp(file->data, "PK\3\4", 4) == 0 || memcmp(file->data, legacy, 4) == 0);
}

/* ---- members ---- */

static int damaged(const struct reading *r, const char *name, const char *what)
{
    return tt_fail(r->error, TT_EINPUT, "%s: tensor '%s': %s; save or download it again", r->file->path,
                   tt_printable(name, strlen(name)).text, what);
}

static void index_members(struct reading *r)
{
    r->names = tt_alloc_array(r->nmembers + 1, sizeof *r->names);
    r->storages = tt_alloc_array(r->nmembers + 1, sizeof *r->storages);
    for (size_t i = 0; i < r->nmembers; i++) {
        r->names[i] = tt_format("%.*s", r->members[i].name_length, r->members[i].name);
        tt_names_add(r->index, r->names[i], i);
    }
}

/* The pickle lies as data.pkl in the only folder at the top. */
static const struct tt_zip_member *find_pickle(struct reading *r)
{
    static const char end[] = "/data.pkl";

    for (size_t i = 0; i < r->nmembers; i++) {
        size_t length = strlen(r->names[i]), tail = sizeof end - 1;
        const char *slash = strchr(r->names[i], '/');
        if (length <= tail || !slash || strcmp(slash, end) != 0)
            continue;
        r->folder = tt_format("%.*s", (int)(length - tail), r->names[i]);
        return &r->members[i];
    }
    return NULL;
}

/* Number of the member "FOLDER/NAME"; false: none. */
static bool find_member(const struct reading *r, const char *name, size_t length, size_t *number)
{
    char *path = tt_format("%s/%.*s", r->folder, (int)length, name);
    bool found = length <= 4096 && tt_names_find(r->index, path, number);
    free(path);
    return found;
}

static int check_order(struct reading *r)
{
    void *owned = NULL;
    size_t number;

    if (!find_member(r, "byteorder", 9, &number))
        return 0;
    const struct tt_zip_member *member = &r->members[number];
    const uint8_t *text = tt_zip_unpack(r->file, member, &owned, r->error);
    bool big = text && member->size == 3 && memcmp(text, "big", 3) == 0;
    free(owned);
    if (big)
        return tt_fail(r->error, TT_EINPUT, "%s was saved on a big-endian machine; save it as safetensors",
                       r->file->path);
    return text ? 0 : -1;
}

/* Bytes of a storage, unpacked at most once. NULL with one line. */
static const uint8_t *storage_bytes(struct reading *r, size_t number)
{
    const struct tt_zip_member *member = &r->members[number];
    void *owned = NULL;

    if (!r->storages[number] && r->weights)
        r->storages[number] = tt_zip_stored(r->file, member);
    if (!r->storages[number])
        r->storages[number] = tt_zip_unpack(r->file, member, &owned, r->error);
    if (owned) {
        r->torch->unpacked = tt_grow(r->torch->unpacked, r->torch->nunpacked + 1, sizeof(void *));
        r->torch->unpacked[r->torch->nunpacked++] = owned;
    }
    return r->storages[number];
}

/* ---- one tensor ---- */

static enum tt_dtype type_of(const struct tt_pickle_value *global)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (tt_pickle_is(global, types[i].global))
            return types[i].dtype;
    return TT_NONE;
}

/* Non-negative integers of a tuple; false: something else, or more than room. */
static bool take_lengths(const struct tt_pickle_value *tuple, int64_t *lengths, int *count)
{
    if (tuple->kind == TT_PICKLE_CALL && tuple->count == 1) /* torch.Size((…)) */
        tuple = tuple->items[0];
    if (tuple->kind != TT_PICKLE_SEQUENCE || tuple->count > TT_TENSOR_RANK)
        return false;
    *count = (int)tuple->count;
    for (int i = 0; i < *count; i++) {
        if (tuple->items[i]->kind != TT_PICKLE_INTEGER || tuple->items[i]->integer < 0)
            return false;
        lengths[i] = tuple->items[i]->integer;
    }
    return true;
}

/* Elements of the storage up to and with the last one that the tensor reaches; false: overflow. */
static bool reach(const struct tt_torch_tensor *tensor, uint64_t *elements)
{
    uint64_t count, step;

    *elements = tensor->first;
    if (!tt_shape_count(tensor->rank, tensor->shape, &count))
        return false;
    for (int i = 0; i < tensor->rank && count > 0; i++)
        if (__builtin_mul_overflow((uint64_t)tensor->shape[i] - 1, (uint64_t)tensor->stride[i], &step) ||
            __builtin_add_overflow(*elements, step, elements))
            return false;
    return count == 0 || !__builtin_add_overflow(*elements, 1, elements);
}

/* `id`: ('storage', class, key, location, elements) */
static int place_storage(struct reading *r, const struct tt_pickle_value *id, struct tt_torch_tensor *tensor)
{
    uint64_t elements, nbytes;
    size_t number;

    if (id->kind != TT_PICKLE_SEQUENCE || id->count < 5 || !tt_pickle_is(id->items[0], "storage") ||
        id->items[2]->kind != TT_PICKLE_TEXT)
        return damaged(r, tensor->name, "it does not say where its values are");
    if (tensor->dtype == TT_NONE)
        tensor->dtype = type_of(id->items[1]);
    char *member = tt_format("data/%.*s", (int)(id->items[2]->text.length & 0xfff), id->items[2]->text.at);
    bool found = find_member(r, member, strlen(member), &number);
    free(member);
    if (!found)
        return damaged(r, tensor->name, "the archive lacks its values");
    if (!reach(tensor, &elements) ||
        !tt_block_bytes(elements, 1, tt_dtype_info(tensor->dtype)->bytes, &nbytes) ||
        nbytes > r->members[number].size)
        return damaged(r, tensor->name, "it reaches beyond its values");
    tensor->storage = storage_bytes(r, number);
    bool in_file = tensor->storage && r->members[number].method == 0;
    tensor->offset = in_file ? r->members[number].offset : 0;
    return tensor->storage ? 0 : -1;
}

static int add_tensor(struct reading *r, const struct tt_pickle_value *call, const char *name)
{
    struct tt_torch *torch = r->torch;
    struct tt_torch_tensor tensor = {.name = (char *)name, .dtype = TT_NONE};
    int nstrides = -1;

    if (call->count < 4 || call->items[0]->kind != TT_PICKLE_PERSISTENT ||
        call->items[1]->kind != TT_PICKLE_INTEGER || call->items[1]->integer < 0 ||
        !take_lengths(call->items[2], tensor.shape, &tensor.rank) ||
        !take_lengths(call->items[3], tensor.stride, &nstrides) || nstrides != tensor.rank)
        return damaged(r, name, "its shape or strides are not numbers that fit, or it has more than 8 dimensions");
    tensor.first = (uint64_t)call->items[1]->integer;
    if (tt_pickle_is(call->called, "torch._utils _rebuild_tensor_v3") && call->count > 6)
        tensor.dtype = type_of(call->items[6]);
    if (place_storage(r, call->items[0]->items[0], &tensor) != 0)
        return -1;
    tensor.name = tt_strdup(name);
    torch->tensors = tt_grow(torch->tensors, torch->count + 1, sizeof *torch->tensors);
    torch->tensors[torch->count++] = tensor;
    return 0;
}

/* ---- the tree ---- */

static bool is_rebuild(const struct tt_pickle_value *value, const char *what)
{
    static const char start[] = "torch._utils _rebuild_";
    size_t length = sizeof start - 1 + strlen(what);

    return value->kind == TT_PICKLE_CALL && value->called->text.length >= length &&
           memcmp(value->called->text.at, start, sizeof start - 1) == 0 &&
           memcmp(value->called->text.at + sizeof start - 1, what, strlen(what)) == 0;
}

/* The tensor that a parameter wraps, or the value itself. */
static const struct tt_pickle_value *unwrapped(const struct tt_pickle_value *value)
{
    bool wraps = is_rebuild(value, "parameter") && value->count > 0;
    return wraps ? value->items[0] : value;
}

static char *child_name(const char *name, const struct tt_pickle_value *key, uint32_t place)
{
    const char *dot = *name ? "." : "";

    if (!key)
        return tt_format("%s%s%u", name, dot, place);
    if (key->kind == TT_PICKLE_TEXT && key->text.length <= 1024 && tt_utf8_valid(key->text.at, key->text.length))
        return tt_format("%s%s%.*s", name, dot, (int)key->text.length, key->text.at);
    return key->kind == TT_PICKLE_INTEGER ? tt_format("%s%s%lld", name, dot, (long long)key->integer)
                                          : tt_format("%s%s?%u", name, dot, place);
}

static int walk(struct reading *r, const struct tt_pickle_value *value, const char *name, int depth)
{
    int rc = 0;

    if (depth > DEEPEST || ++r->visits > MOST_VISITS || strlen(name) > LONGEST_NAME)
        return damaged(r, name, "dictionaries or lists are nested without end");
    value = unwrapped(value);
    if (is_rebuild(value, "tensor"))
        return add_tensor(r, value, name);
    bool dictionary = value->kind == TT_PICKLE_DICTIONARY;
    if (!dictionary && value->kind != TT_PICKLE_SEQUENCE)
        return 0;
    for (uint32_t i = 0; i + dictionary < value->count && rc == 0; i += 1u + dictionary) {
        char *child = child_name(name, dictionary ? value->items[i] : NULL, i);
        rc = walk(r, value->items[i + dictionary], child, depth + 1);
        free(child);
    }
    return rc;
}

static const struct tt_pickle_value *entry(const struct tt_pickle_value *dictionary, const char *key)
{
    for (uint32_t i = 0; i + 1 < dictionary->count; i += 2)
        if (tt_pickle_is(dictionary->items[i], key) && dictionary->items[i + 1]->kind == TT_PICKLE_DICTIONARY)
            return dictionary->items[i + 1];
    return NULL;
}

/* A checkpoint of a training run has the weights beside the optimizer's state. */
static const struct tt_pickle_value *weights_of(const struct tt_pickle_value *root)
{
    static const char *const keys[] = {"state_dict", "model_state_dict", "model"};
    const struct tt_pickle_value *found = NULL;

    if (root->kind != TT_PICKLE_DICTIONARY)
        return root;
    for (uint32_t i = 1; i < root->count; i += 2)
        if (is_rebuild(unwrapped(root->items[i]), "tensor"))
            return root;
    for (size_t i = 0; i < COUNT(keys) && !found; i++)
        found = entry(root, keys[i]);
    return found ? found : root;
}

/* What torch.compile and data parallelism put before every name. */
static void strip_prefix(struct tt_torch *torch, const char *prefix)
{
    size_t length = strlen(prefix);

    for (size_t i = 0; i < torch->count; i++)
        if (strncmp(torch->tensors[i].name, prefix, length) != 0)
            return;
    for (size_t i = 0; i < torch->count; i++)
        memmove(torch->tensors[i].name, torch->tensors[i].name + length,
                strlen(torch->tensors[i].name + length) + 1);
}

/* ---- all ---- */

static int read_tree(struct reading *r, const struct tt_pickle_value *root)
{
    if (r->weights)
        root = weights_of(root);
    const char *slash = strrchr(r->file->path, '/'), *base = slash ? slash + 1 : r->file->path;
    bool bare = is_rebuild(unwrapped(root), "tensor"); /* has no key: named as its file */
    char *name = bare ? tt_format("%.*s", (int)strcspn(base, "."), base) : tt_strdup("");
    int rc = walk(r, root, name, 0);
    free(name);
    if (r->weights) {
        strip_prefix(r->torch, "module.");
        strip_prefix(r->torch, "_orig_mod.");
    }
    return rc;
}

static int read_pickle(struct reading *r, const struct tt_zip_member *member)
{
    const char *allowed[COUNT(types) + COUNT(globals) + 1];
    size_t count = 0;
    void *owned = NULL;

    for (size_t i = 0; i < COUNT(types); i++)
        allowed[count++] = types[i].global;
    for (size_t i = 0; i < COUNT(globals); i++)
        allowed[count++] = globals[i];
    allowed[count] = NULL;
    if (member->size > LARGEST_PICKLE)
        return tt_fail(r->error, TT_EINPUT, "%s: its pickle has %llu bytes, more than any dictionary of tensors needs",
                       r->file->path, (unsigned long long)member->size);
    const uint8_t *bytes = tt_zip_unpack(r->file, member, &owned, r->error);
    char *what = tt_format("%s: member 'data.pkl'", r->file->path);
    struct tt_pickle *pickle = bytes ? tt_pickle_read(bytes, member->size, allowed, what, r->error) : NULL;
    int rc = pickle ? read_tree(r, tt_pickle_root(pickle)) : -1;
    tt_pickle_free(pickle);
    free(what);
    free(owned);
    return rc;
}

static int read_archive(struct reading *r)
{
    if (tt_zip_list(r->file, &r->members, &r->nmembers, r->error) != 0)
        return -1;
    index_members(r);
    const struct tt_zip_member *member = find_pickle(r);
    if (!member)
        return tt_fail(r->error, TT_EINPUT, "%s is a zip archive without data.pkl: it is no PyTorch file",
                       r->file->path);
    return check_order(r) == 0 ? read_pickle(r, member) : -1;
}

int tt_torch_read(const struct tt_file *file, bool weights, struct tt_torch *torch, struct tt_error *error)
{
    struct reading r = {.file = file, .torch = torch, .error = error, .weights = weights};

    *torch = (struct tt_torch){0};
    if (file->size < 4 || memcmp(file->data, "PK", 2) != 0)
        return tt_fail(error, TT_EINPUT,
                       "%s is no PyTorch archive, or one in the format before PyTorch 1.6, a bare pickle; save it again "
                       "with torch.save(torch.load(FILE), FILE), or as safetensors",
                       file->path);
    r.index = tt_names_new();
    int rc = read_archive(&r);
    for (size_t i = 0; i < r.nmembers && r.names; i++)
        free(r.names[i]);
    free(r.names);
    free(r.storages);
    free(r.folder);
    free(r.members);
    tt_names_free(r.index);
    return rc;
}

void tt_torch_free(struct tt_torch *torch)
{
    for (size_t i = 0; i < torch->count; i++)
        free(torch->tensors[i].name);
    for (size_t i = 0; i < torch->nunpacked; i++)
        free(torch->unpacked[i]);
    free(torch->tensors);
    free(torch->unpacked);
    *torch = (struct tt_torch){0};
}

bool tt_torch_contiguous(const struct tt_torch_tensor *tensor)
{
    int64_t step = 1;
    uint64_t count;

    if (!tt_shape_count(tensor->rank, tensor->shape, &count) || count == 0)
        return true;
    for (int i = tensor->rank - 1; i >= 0; step *= tensor->shape[i--])
        if (tensor->shape[i] > 1 && tensor->stride[i] != step)
            return false;
    return true;
}

uint64_t tt_torch_at(const struct tt_torch_tensor *tensor, uint64_t index)
{
    uint64_t at = tensor->first;

    for (int i = tensor->rank - 1; i >= 0; i--) {
        at += index % (uint64_t)tensor->shape[i] * (uint64_t)tensor->stride[i];
        index /= (uint64_t)tensor->shape[i];
    }
    return at;
}
