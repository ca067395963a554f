/* SPDX-License-Identifier: Apache-2.0
 *
 * What the analyzer reads from a model file, for Python tests that compare with other implementations.
 * "dump-model|dump-arrays FILE VALUES": one JSON line per tensor on stdout, its values appended as f64 to
 * VALUES. FILE may be MODEL+ADAPTER=SCALE+… "ends FILE": first and last element of every tensor, peak memory.
 * "number|string|list FILE KEY": metadata.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cjson/cJSON.h>

#include "model/arrays.h"
#include "model/model.h"

static uint64_t element_count(int rank, const int64_t *shape)
{
    uint64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (uint64_t)shape[i];
    return count;
}

static void print_entry(const char *name, enum tt_dtype dtype, int rank, const int64_t *shape,
                        uint64_t nbytes, const char *form)
{
    cJSON *line = cJSON_CreateObject(), *list;

    cJSON_AddStringToObject(line, "name", name);
    cJSON_AddStringToObject(line, "dtype", tt_dtype_info(dtype)->name);
    cJSON_AddNumberToObject(line, "nbytes", (double)nbytes);
    if (form)
        cJSON_AddStringToObject(line, "form", form);
    list = cJSON_AddArrayToObject(line, "shape");
    for (int i = 0; i < rank; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)shape[i]));
    char *text = cJSON_PrintUnformatted(line);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(line);
}

static int fail_with(const struct tt_error *error)
{
    fprintf(stderr, "%s\n", error->message);
    return 2;
}

/* "MODEL" or "MODEL+ADAPTER=SCALE+…" */
static struct tt_model *open_model(const char *path, struct tt_error *error)
{
    char *text = strdup(path), *rest = text, *part = strsep(&rest, "+");
    struct tt_model *model = tt_model_open(part, error);

    while (model && (part = strsep(&rest, "+"))) {
        char *equals = strrchr(part, '=');
        if (equals)
            *equals++ = '\0';
        if (tt_model_add_adapter(model, part, equals ? atof(equals) : 1, error) == 0)
            continue;
        tt_model_close(model);
        model = NULL;
    }
    free(text);
    return model;
}

static int dump_model(const char *path, FILE *out, struct tt_error *error)
{
    struct tt_model *model = open_model(path, error);
    int rc = model ? 0 : -1;

    for (size_t i = 0; model && i < tt_model_ntensors(model) && rc == 0; i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        uint64_t count = element_count(tensor->rank, tensor->shape);
        double *values = malloc((count + 1) * sizeof *values);
        print_entry(tensor->name, tensor->dtype, tensor->rank, tensor->shape, tensor->nbytes,
                    tensor->form ? tensor->form->name : NULL);
        rc = tt_model_read(tensor, 0, count, values, error);
        fwrite(values, sizeof *values, rc == 0 ? count : 0, out);
        free(values);
    }
    tt_model_close(model);
    return rc;
}

static int dump_arrays(const char *path, FILE *out, struct tt_error *error)
{
    struct tt_arrays *arrays = tt_arrays_open(path, error);
    int rc = arrays ? 0 : -1;

    for (size_t i = 0; arrays && i < tt_arrays_count(arrays) && rc == 0; i++) {
        const struct tt_array *array = tt_arrays_at(arrays, i);
        uint64_t count = element_count(array->rank, array->shape);
        double *values = malloc((count + 1) * sizeof *values);
        print_entry(array->name, array->dtype, array->rank, array->shape, array->nbytes, NULL);
        rc = tt_array_read_f64(array, 0, count, values, error);
        fwrite(values, sizeof *values, rc == 0 ? count : 0, out);
        free(values);
    }
    tt_arrays_close(arrays);
    return rc;
}

/* First and last element of every tensor, which is all that is touched, then the peak of resident memory in KiB. */
static int ends_of_model(const char *path)
{
    struct tt_error error = {0};
    struct tt_model *model = open_model(path, &error);
    struct rusage usage;
    double values[2] = {0, 0};
    int rc = model ? 0 : -1;

    for (size_t i = 0; model && i < tt_model_ntensors(model) && rc == 0; i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        uint64_t count = element_count(tensor->rank, tensor->shape);
        rc = tt_model_read(tensor, 0, 1, &values[0], &error);
        rc = rc ? rc : tt_model_read(tensor, count - 1, 1, &values[1], &error);
        printf("%s %.17g %.17g\n", tensor->name, values[0], values[1]);
    }
    tt_model_close(model);
    getrusage(RUSAGE_SELF, &usage);
    printf("%ld\n", usage.ru_maxrss);
    return rc == 0 ? 0 : fail_with(&error);
}

static int dump(const char *kind, const char *path, const char *values)
{
    struct tt_error error = {0};
    FILE *out = fopen(values, "wb");
    int rc = strcmp(kind, "arrays") == 0 ? dump_arrays(path, out, &error) : dump_model(path, out, &error);

    fclose(out);
    return rc == 0 ? 0 : fail_with(&error);
}

static int query(const char *kind, const char *path, const char *key)
{
    struct tt_error error = {0};
    struct tt_model *model = tt_model_open(path, &error);
    const char *text = NULL;
    double number = 0;
    int rc = 1;

    if (!model)
        return fail_with(&error);
    if (strcmp(kind, "number") == 0 && tt_model_number(model, key, &number))
        rc = printf("%.17g\n", number) < 0;
    else if (strcmp(kind, "string") == 0 && tt_model_string(model, key, &text))
        rc = puts(text) < 0;
    for (size_t i = 0; strcmp(kind, "list") == 0 && i < tt_model_array_length(model, key); i++) {
        size_t length;
        if (tt_model_array_number(model, key, i, &number))
            rc = printf("%.17g\n", number) < 0;
        else if (tt_model_array_string(model, key, i, &text, &length))
            rc = printf("%.*s\n", (int)length, text) < 0;
    }
    tt_model_close(model);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "ends") == 0)
        return ends_of_model(argv[2]);
    if (argc == 4 && strncmp(argv[1], "dump-", 5) == 0)
        return dump(argv[1] + 5, argv[2], argv[3]);
    return argc == 4 ? query(argv[1], argv[2], argv[3]) : 2;
}
