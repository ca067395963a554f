/* SPDX-License-Identifier: Apache-2.0
 *
 * Options, job files, selections and text tools, without a process around them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/options.h"
#include "base/select.h"
#include "base/text.h"
#include "checks.h"

static const struct tt_option own[] = {
    {"fast", 'f', TT_OPTION_FLAG, NULL, "", NULL, NULL},
    {"depth", 'd', TT_OPTION_INTEGER, "N", "", NULL, NULL},
    {"limit", 0, TT_OPTION_SIZE, "SIZE", "", NULL, NULL},
    {"ratio", 0, TT_OPTION_NUMBER, "X", "", NULL, NULL},
    {"file", 'i', TT_OPTION_LIST, "FILE", "", NULL, NULL},
    {"mode", 0, TT_OPTION_TEXT, "MODE", "", "on|off", NULL},
    {"color", 0, TT_OPTION_TEXT, "WHEN", "", NULL, "always"},
    {0},
};
static const struct tt_option common[] = {
    {"json", 0, TT_OPTION_FLAG, NULL, "", NULL, NULL},
    {"out", 'o', TT_OPTION_TEXT, "FILE", "", NULL, NULL},
    {0},
};

static struct tt_options *parse(struct tt_error *error, bool options_first, int argc, char **argv)
{
    struct tt_options *options = tt_options_new(own, common);
    if (tt_options_parse(options, argc, argv, options_first, error) == 0)
        return options;
    tt_options_free(options);
    return NULL;
}

#define PARSE(first, ...)                                                                                    \
    parse(&error, first, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), (char *[]){__VA_ARGS__})

static void test_forms(void)
{
    struct tt_error error = {0};
    struct tt_options *options = PARSE(false, "one", "--depth=-3", "-fi", "a", "-ib", "--limit", "1.5K",
                                       "--out", "x", "--out=y", "--color", "two", "--", "--json", "-");
    CHECK(options);
    if (!options)
        return;
    CHECK(tt_option_integer(options, "depth", 0) == -3);
    CHECK(tt_option_integer(options, "limit", 0) == 1536);
    CHECK(tt_option_flag(options, "fast") && !tt_option_flag(options, "json"));
    CHECK(strcmp(tt_option_text(options, "out"), "y") == 0);
    CHECK(strcmp(tt_option_text(options, "color"), "always") == 0);
    CHECK(tt_option_count(options, "file") == 2);
    CHECK(strcmp(tt_option_text_at(options, "file", 0), "a") == 0);
    CHECK(strcmp(tt_option_text_at(options, "file", 1), "b") == 0);
    CHECK(!tt_option_text_at(options, "file", 2));
    CHECK(tt_options_nargs(options) == 4);
    CHECK(strcmp(tt_options_args(options)[2], "--json") == 0 && !tt_options_args(options)[4]);
    CHECK(tt_option_number(options, "ratio", 0.5) == 0.5);
    tt_options_free(options);
}

static void test_options_first(void)
{
    struct tt_error error = {0};
    struct tt_options *options = PARSE(true, "-f", "program", "--unknown", "-d");
    CHECK(options && tt_options_nargs(options) == 3);
    tt_options_free(options);
}

static void test_refusals(void)
{
    struct tt_error error = {0};
    CHECK(!PARSE(false, "--depht=3") && strstr(error.message, "did you mean --depth?"));
    CHECK(!PARSE(false, "--nothinglikeit") && strstr(error.message, "unknown option"));
    CHECK(!PARSE(false, "-x") && strstr(error.message, "-x"));
    CHECK(!PARSE(false, "--depth") && strstr(error.message, "needs a value"));
    CHECK(!PARSE(false, "--depth=3x") && strstr(error.message, "'3x' is not an integer"));
    CHECK(!PARSE(false, "--depth=99999999999999999999") && strstr(error.message, "integer"));
    CHECK(!PARSE(false, "--limit=-1") && strstr(error.message, "size"));
    CHECK(!PARSE(false, "--ratio=nan") && strstr(error.message, "number"));
    CHECK(!PARSE(false, "--mode=of") && strstr(error.message, "on|off"));
    CHECK(!PARSE(false, "--fast=1") && strstr(error.message, "takes no value"));
}

static int load(struct tt_options *options, const char *job, struct tt_error *error)
{
    char path[] = "/tmp/tensortap-job-XXXXXX";
    int descriptor = mkstemp(path);
    if (write(descriptor, job, strlen(job)) != (ssize_t)strlen(job))
        abort();
    close(descriptor);
    struct tt_job what = {.command = "verify", .usage = "[options] CAPTURE REFERENCE… [--model MODEL]", .related = "pos token"};
    int result = tt_options_load(options, path, &what, error);
    unlink(path);
    return result;
}

static void test_job_file(void)
{
    struct tt_error error = {0};
    struct tt_options *options = PARSE(false, "--depth=1");
    CHECK(load(options,
               "{\"command\":\"verify\",\"depth\":2,\"limit\":\"2K\",\"file\":[\"p\",\"q\"],\"fast\":true,"
               "\"json\":false,\"args\":[\"cap\"]}",
               &error) == 0);
    CHECK(tt_option_integer(options, "depth", 0) == 1); /* the command line wins */
    CHECK(tt_option_integer(options, "limit", 0) == 2048);
    CHECK(tt_option_count(options, "file") == 2 && tt_option_flag(options, "fast"));
    CHECK(!tt_option_flag(options, "json"));
    CHECK(tt_options_nargs(options) == 1 && strcmp(tt_options_args(options)[0], "cap") == 0);
    CHECK(load(options, "{\"dept\":2}", &error) != 0 && strstr(error.message, "did you mean --depth?"));
    CHECK(load(options, "{\"fast\":1}", &error) != 0 && strstr(error.message, "true or false"));
    CHECK(load(options, "{\"limit\":[1]}", &error) != 0);
    CHECK(load(options, "{\"command\":\"map\"}", &error) != 0);
    CHECK(load(options, "[1]", &error) != 0 && strstr(error.message, "object"));
    CHECK(load(options, "{\n\"a\":\n}", &error) != 0 && strstr(error.message, ":3:"));
    CHECK(load(options, "", &error) != 0 && strstr(error.message, "empty"));
    CHECK(load(options, "// of this\n{/* a\n */\"limit\": 3, // b\n\"mode\": \"on\"}//", &error) == 0);
    CHECK(load(options, "{\"file\": \"http://a/*b*/\\\"//\"}", &error) == 0 &&
          strcmp(tt_option_text_at(options, "file", tt_option_count(options, "file") - 1), "http://a/*b*/\"//") == 0);
    CHECK(load(options, "{/*\n*/\n\"a\":\n}", &error) != 0 && strstr(error.message, ":4:"));
    tt_options_free(options);
}

/* Positional arguments by the names that the usage line gives them. */
static void test_job_arguments(void)
{
    struct tt_error error = {0};
    struct tt_options *options = PARSE(false, "first");
    CHECK(load(options, "{\"reference\":[\"b\",\"c\"],\"capture\":\"a\",\"out\":[0,12,-1],\"pos\":6}", &error) == 0);
    CHECK(tt_options_nargs(options) == 3 && strcmp(tt_options_args(options)[0], "first") == 0);
    CHECK(strcmp(tt_options_args(options)[2], "c") == 0);
    CHECK(strcmp(tt_option_text(options, "out"), "0,12,-1") == 0);
    CHECK(strcmp(tt_options_skipped(options), "pos") == 0);
    tt_options_free(options);
    options = PARSE(false, "-f");
    CHECK(load(options, "{\"reference\":\"b\"}", &error) != 0 && strstr(error.message, "needs \"capture\""));
    CHECK(load(options, "{\"capture\":{}}", &error) != 0 && strstr(error.message, "string"));
    CHECK(load(options, "{\"args\":[\"a\"],\"reference\":\"b\"}", &error) != 0 && strstr(error.message, "keep one"));
    CHECK(load(options, "{\"out\":[[1]]}", &error) != 0 && strstr(error.message, "out"));
    tt_options_free(options);
}

static struct tt_select *select_of(const char *text)
{
    struct tt_error error;
    struct tt_select *select = tt_select_parse(text, &error);
    if (!select) {
        printf("%s\n", error.message);
        failures++;
    }
    return select;
}

static bool number(const char *text, enum tt_select_key key, int64_t value, int64_t total)
{
    struct tt_select *select = select_of(text);
    bool holds = tt_select_number(select, key, value, total);
    tt_select_free(select);
    return holds;
}

static bool word(const char *text, enum tt_select_key key, const char *value)
{
    struct tt_select *select = select_of(text);
    bool holds = tt_select_word(select, key, value);
    tt_select_free(select);
    return holds;
}

static void test_select_numbers(void)
{
    static const struct {
        const char *text;
        int64_t value, total;
        bool holds;
    } rows[] = {
        {"layer=0-1", 1, 0, true},     {"layer=0-1", 2, 0, false},       {"layer=0-1,3", 3, 0, true},
        {"layer=0-1+3|5", 5, 0, true}, {"layer=0,layer=4", 4, 0, true},  {"layer!=0-1,3", 3, 0, false},
        {"layer!=0-1,3", 2, 0, true},  {"layer<5", 4, 0, true},          {"layer<5", 5, 0, false},
        {"layer>=5", 5, 0, true},      {"layer>5,layer<=7", 7, 0, true}, {"layer>5,layer<=7", 8, 0, false},
        {"layer=-1", 11, 12, true},    {"layer=-1", 10, 12, false},      {"layer=-1", 11, 0, false},
        {"layer=-3--1", 9, 12, true},  {"layer=2--2", 10, 12, true},     {"layer=2--2", 11, 12, false},
        {"layer=5-", 900, 0, true},    {"layer=5-", 4, 0, false},        {"layer<-1", 10, 12, true},
        {"layer<-1", 11, 12, false},   {"pass=3", 77, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (number(rows[i].text, TT_SELECT_LAYER, rows[i].value, rows[i].total) != rows[i].holds) {
            printf("layer %ld of %ld under '%s'\n", (long)rows[i].value, (long)rows[i].total, rows[i].text);
            failures++;
        }
    CHECK(number("size>=64K", TT_SELECT_SIZE, 65536, 0) && !number("size>=64K", TT_SELECT_SIZE, 65535, 0));
    CHECK(number("size=1K-2K", TT_SELECT_SIZE, 2000, 0));
}

static void test_select_words(void)
{
    CHECK(word("component=attn.*", TT_SELECT_COMPONENT, "attn.q_proj"));
    CHECK(!word("component=attn.*", TT_SELECT_COMPONENT, "attn_norm"));
    CHECK(word("component=attn.*,ffn.*", TT_SELECT_COMPONENT, "ffn.act"));
    CHECK(!word("component!=attn.*+ffn.*", TT_SELECT_COMPONENT, "ffn.act"));
    CHECK(word("component!=attn.*+ffn.*", TT_SELECT_COMPONENT, "embed"));
    CHECK(!word("op=matmul", TT_SELECT_OP, NULL));
    CHECK(word("role!=a", TT_SELECT_ROLE, "b") && !word("role!=a", TT_SELECT_ROLE, "a"));
}

static void test_select_subject(void)
{
    struct tt_select *select = select_of("op=matmul,layer=3,pass<5");
    struct tt_select_subject subject = {0};
    tt_select_set_word(&subject, TT_SELECT_OP, "matmul");
    tt_select_set_number(&subject, TT_SELECT_PASS, 4, 0);
    CHECK(tt_select_match(select, &subject)); /* the layer is not known */
    char *unknown = tt_select_unknown(select, subject.known);
    CHECK(unknown && strcmp(unknown, "layer") == 0);
    free(unknown);
    tt_select_set_number(&subject, TT_SELECT_PASS, 5, 0);
    CHECK(!tt_select_match(select, &subject));
    CHECK(tt_select_match(NULL, &subject) && tt_select_mentions(NULL) == 0);
    tt_select_free(select);
}

static void test_select_refusals(void)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "character 1"},
        {"layer", "character 1"},
        {"layr=1", "did you mean layer?"},
        {"layer=", "character 7"},
        {"layer=1x", "character 8"},
        {"layer=3-1", "backwards"},
        {"layer<1-2", "one number"},
        {"op<matmul", "one number"},
        {"layer=1,,2", "character 9"},
        {"op=", "character 4"},
        {"3,layer=1", "character 1"},
        {"layer=99999999999999999999", "character 7"},
        {"pass<5,6", "character 8"},
        {"layer~1", "character 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tt_error error = {0};
        struct tt_select *select = tt_select_parse(rows[i].text, &error);
        if (select || !strstr(error.message, rows[i].message)) {
            printf("'%s': %s\n", rows[i].text, select ? "accepted" : error.message);
            failures++;
        }
        tt_select_free(select);
    }
}

static void test_select_plain(void)
{
    struct tt_select *select = select_of("layer=0-1+3|5-,op=mat*,layer=7,size>=64K,role!=a|b,token=-3--1");
    char *plain = tt_select_plain(select);
    CHECK(strcmp(plain, "layer=0-1,3,5-,7,op=mat*,size>=65536,role!=a,b,token=-3--1") == 0);
    CHECK(tt_select_from_end(select, TT_SELECT_TOKEN) && !tt_select_from_end(select, TT_SELECT_LAYER));
    free(plain);
    tt_select_free(select);
}

static void test_text(void)
{
    static const char *const words[] = {"info", "ls", "show", "verify", "run"};
    uint64_t bytes;
    CHECK(strcmp(tt_nearest("verfy", words, 5), "verify") == 0);
    CHECK(strcmp(tt_nearest("sohw", words, 5), "show") == 0);
    CHECK(strcmp(tt_nearest("ver", words, 5), "verify") == 0);
    CHECK(!tt_nearest("quantum", words, 5));
    CHECK(tt_parse_size("2GiB", &bytes) && bytes == 2ull << 30);
    CHECK(tt_parse_size("10", &bytes) && bytes == 10);
    CHECK(!tt_parse_size("10x", &bytes) && !tt_parse_size("", &bytes) && !tt_parse_size("9e30", &bytes));
}

static void test_json_numbers(void)
{
    cJSON *object = cJSON_CreateObject();
    tt_json_add_number(object, "a", 1.0 / 0.0);
    tt_json_add_u64(object, "b", UINT64_MAX);
    char *text = cJSON_PrintUnformatted(object);
    CHECK(strcmp(text, "{\"nonfinite\":{\"a\":\"inf\"},\"a\":null,\"b\":18446744073709551615}") == 0);
    cJSON_free(text);
    cJSON_Delete(object);
}

int main(void)
{
    test_forms();
    test_options_first();
    test_refusals();
    test_job_file();
    test_job_arguments();
    test_select_numbers();
    test_select_words();
    test_select_subject();
    test_select_refusals();
    test_select_plain();
    test_text();
    test_json_numbers();
    return failures != 0;
}
