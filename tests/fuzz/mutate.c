/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: damage files: bits, bytes, counts, digits, words, pieces moved, taken from another file, cut off.
 * Places are chosen near the ends more often than in the middle: headers and directories lie there, and what is
 * between is numbers.
 */
#include "mutate.h"

#include <string.h>
#include <zlib.h>

static uint64_t state = 1;

void random_seed(uint64_t seed)
{
    state = (seed ^ 0x9e3779b97f4a7c15u) | 1;
}

uint64_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

size_t random_below(size_t limit)
{
    return limit ? (size_t)(random_number() % limit) : 0;
}

static size_t random_place(size_t count)
{
    size_t near = random_below(random_below(random_below(count + 1) + 1) + 1);

    if (random_below(4) == 0)
        return random_below(count);
    return random_below(4) == 0 && near < count ? count - 1 - near : near < count ? near : 0;
}

static const uint64_t awkward[] = {0,          1,          2,          4,          8,
                                   31,         0x7f,       0x80,       0xff,       0xffff,
                                   0x7fffffff, 0x80000000, 0xffffffff, 1ull << 40, 1ull << 60,
                                   1ull << 61, 1ull << 62, 1ull << 63, UINT64_MAX, UINT64_MAX - 31};

static const char *const words[] = {
    "null", "true", "false", "\"\"",  "{}",  "[]",   "[",   "]",    "{",     "}",  ",", "-1",
    "0",    "1e999", "-0.5", "1e-9", "255", "256", "4096", "65536", "\\", "\"", "\\ud800", "NaN",
    ":",    "\n",   "\xff", "\xc3\xa4", "9999999999", "2147483648", "18446744073709551615", "-9223372036854775808"};

static void flip_bit(struct bytes *file, size_t at)
{
    file->at[at] ^= (unsigned char)(1u << random_below(8));
}

static void set_byte(struct bytes *file, size_t at)
{
    file->at[at] = (unsigned char)random_number();
}

static void set_count(struct bytes *file, size_t at)
{
    size_t width = (size_t)1 << random_below(4);
    if (width <= file->count - at)
        memcpy(file->at + at, &awkward[random_below(sizeof awkward / sizeof *awkward)], width);
}

static void change_number(struct bytes *file, size_t at)
{
    while (at < file->count && (file->at[at] < '0' || file->at[at] > '9'))
        at++;
    for (; at < file->count && file->at[at] >= '0' && file->at[at] <= '9'; at++)
        file->at[at] = (unsigned char)('0' + random_below(10));
}

static void move_piece(struct bytes *file, size_t at)
{
    size_t to = random_place(file->count), longest = file->count - (at > to ? at : to);
    memmove(file->at + to, file->at + at, random_below(longest < 64 ? longest + 1 : 64));
}

static void cut(struct bytes *file, size_t at)
{
    if (random_below(8) == 0)
        file->count = at;
}

static void insert(struct bytes *file, size_t at, const unsigned char *piece, size_t count)
{
    if (count > LARGEST_CASE - file->count)
        return;
    memmove(file->at + at + count, file->at + at, file->count - at);
    memcpy(file->at + at, piece, count);
    file->count += count;
}

static void insert_word(struct bytes *file, size_t at)
{
    const char *word = words[random_below(sizeof words / sizeof *words)];
    insert(file, at, (const unsigned char *)word, strlen(word));
}

static void repeat_piece(struct bytes *file, size_t at)
{
    unsigned char piece[64];
    size_t from = random_place(file->count), count = random_below(sizeof piece);

    if (count > file->count - from)
        count = file->count - from;
    memcpy(piece, file->at + from, count);
    insert(file, at, piece, count);
}

static void remove_piece(struct bytes *file, size_t at)
{
    size_t left = file->count - at, count = random_below(left < 64 ? left + 1 : 64);
    memmove(file->at + at, file->at + at + count, left - count);
    file->count -= count;
}

/* A JSON value, or what looks like one: up to the next comma or bracket. */
static void replace_value(struct bytes *file, size_t at)
{
    const char *word = words[random_below(sizeof words / sizeof *words)];
    size_t end;

    while (at < file->count && file->at[at] != ':' && file->at[at] != ',')
        at++;
    if (at == file->count)
        return;
    for (end = ++at; end < file->count && !strchr(",]}\n", file->at[end]); end++)
        ;
    memmove(file->at + at, file->at + end, file->count - end);
    file->count -= end - at;
    insert(file, at, (const unsigned char *)word, strlen(word));
}

static void take_piece(struct bytes *file, const struct bytes *other, size_t at)
{
    size_t from = random_place(other->count), left = other->count - from;
    size_t room = file->count - at, count = random_below(256);

    count = count < left ? count : left;
    memcpy(file->at + at, other->at + from, count < room ? count : room);
}

void mutate(struct bytes *file, const struct bytes *other)
{
    static void (*const changes[])(struct bytes *, size_t) = {
        flip_bit, set_byte,     set_count,    set_count,     change_number, move_piece,
        cut,      insert_word,  repeat_piece, remove_piece,  replace_value, replace_value,
    };
    const size_t count = sizeof changes / sizeof *changes;
    size_t which = random_below(count + 1);

    if (file->count == 0)
        return;
    if (which < count)
        changes[which](file, random_place(file->count));
    else if (other->count > 0)
        take_piece(file, other, random_place(file->count));
}

/* ---- repair ---- */

static uint64_t load(const struct bytes *file, size_t at, size_t width)
{
    uint64_t value = 0;
    if (at <= file->count && width <= file->count - at)
        memcpy(&value, file->at + at, width);
    return value;
}

static void repair_member(struct bytes *file, size_t entry)
{
    uint64_t local = load(file, entry + 42, 4), size = load(file, entry + 20, 4);
    uint64_t data = local + 30 + load(file, local + 26, 2) + load(file, local + 28, 2);

    if (load(file, entry + 10, 2) != 0 || local > file->count || data > file->count || size > file->count - data)
        return;
    uint32_t crc = (uint32_t)crc32(0, file->at + data, (unsigned)size);
    memcpy(file->at + entry + 16, &crc, sizeof crc);
}

void repair_zip(struct bytes *file)
{
    for (size_t at = 0; at + 46 <= file->count; at++)
        if (memcmp(file->at + at, "PK\1\2", 4) == 0)
            repair_member(file, at);
}

void repair_safetensors(struct bytes *file)
{
    uint64_t length = 0;

    for (size_t at = 8, depth = 0; at < file->count && length == 0; at++) {
        depth += file->at[at] == '{';
        if (file->at[at] == '}' && depth-- <= 1)
            length = at - 7;
    }
    if (length)
        memcpy(file->at, &length, sizeof length);
}
