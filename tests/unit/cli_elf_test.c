/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read of ELF files: both classes, both byte orders, and files that are cut short or damaged.
 *
 * The files are written here byte by byte, not by the library that reads them:
 * header, one segment (the interpreter), strings, symbols, dynamic entries, section headers.
 */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/elf_file.h"
#include "base/program.h"
#include "checks.h"

/* Offsets into `names`. */
enum { NAME_NEEDED = 1, NAME_RUN_PATH = 11, NAME_GEMM = 20, NAME_OWN = 27 };
static const char names[] = "\0libown.so\0/run/own\0sgemm_\0own_call";

struct kind {
    bool wide, big; /* 64-bit, big-endian */
    unsigned machine;
};

static const struct kind kinds[] = {
    {true, false, EM_X86_64}, {true, false, EM_AARCH64}, {false, false, EM_386},
    {false, true, EM_PPC},    {true, true, EM_S390},     {false, false, EM_X86_64}, /* x32 */
};

struct image {
    struct kind kind;
    unsigned char bytes[1024];
    size_t size;
};

static void put(struct image *image, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++)
        image->bytes[image->size++] =
            (unsigned char)(value >> 8 * (image->kind.big ? width - 1 - i : i));
}

/* A number as wide as an address. */
static void put_address(struct image *image, uint64_t value)
{
    put(image, image->kind.wide ? 8 : 4, value);
}

static void put_bytes(struct image *image, const void *bytes, size_t size)
{
    memcpy(image->bytes + image->size, bytes, size);
    image->size += size;
}

static void put_header(struct image *image, size_t sections)
{
    unsigned char ident[EI_NIDENT] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3};
    bool wide = image->kind.wide;
    ident[EI_CLASS] = wide ? ELFCLASS64 : ELFCLASS32;
    ident[EI_DATA] = image->kind.big ? ELFDATA2MSB : ELFDATA2LSB;
    ident[EI_VERSION] = EV_CURRENT;
    put_bytes(image, ident, sizeof ident);
    put(image, 2, ET_DYN);
    put(image, 2, image->kind.machine);
    put(image, 4, EV_CURRENT);
    put_address(image, 0);                /* entry */
    put_address(image, wide ? 64 : 52);   /* segments follow the header */
    put_address(image, sections);
    put(image, 4, 0);                     /* flags */
    put(image, 2, wide ? 64 : 52);        /* of this header */
    put(image, 2, wide ? 56 : 32);        /* of a segment */
    put(image, 2, 1);
    put(image, 2, wide ? 64 : 40);        /* of a section */
    put(image, 2, 4);
    put(image, 2, 0);                     /* sections have no names */
}

static void put_segment(struct image *image)
{
    put(image, 4, PT_INTERP);
    for (size_t end = image->size + (image->kind.wide ? 52 : 28); image->size < end;)
        put(image, 4, 0);
}

static void put_symbol(struct image *image, unsigned name, unsigned section)
{
    put(image, 4, name);
    if (!image->kind.wide) {
        put_address(image, 0);
        put_address(image, 0);
    }
    put(image, 1, STB_GLOBAL << 4 | STT_FUNC);
    put(image, 1, STV_DEFAULT);
    put(image, 2, section);
    if (image->kind.wide) {
        put_address(image, 0);
        put_address(image, 0);
    }
}

static void put_dynamic(struct image *image, uint64_t tag, uint64_t value)
{
    put_address(image, tag);
    put_address(image, value);
}

static void put_section(struct image *image, unsigned type, size_t start, size_t end, size_t entry)
{
    put(image, 4, 0);
    put(image, 4, type);
    put_address(image, 0); /* flags */
    put_address(image, 0); /* address */
    put_address(image, start);
    put_address(image, end - start);
    put(image, 4, 1); /* link: the strings */
    put(image, 4, 0);
    put_address(image, 8); /* alignment */
    put_address(image, entry);
}

/* Everything after the header; returns where the section headers start. */
static size_t put_rest(struct image *image)
{
    bool wide = image->kind.wide;
    size_t strings, symbols, dynamic, sections;
    put_segment(image);
    strings = image->size;
    put_bytes(image, names, sizeof names);
    image->size = (image->size + 7) & ~(size_t)7;
    symbols = image->size;
    put_symbol(image, 0, SHN_UNDEF);
    put_symbol(image, NAME_GEMM, SHN_UNDEF);
    put_symbol(image, NAME_OWN, SHN_ABS);
    dynamic = image->size;
    put_dynamic(image, DT_RUNPATH, NAME_RUN_PATH);
    put_dynamic(image, DT_NEEDED, NAME_NEEDED);
    put_dynamic(image, DT_NULL, 0);
    sections = image->size;
    put_section(image, SHT_NULL, 0, 0, 0);
    put_section(image, SHT_STRTAB, strings, strings + sizeof names, 0);
    put_section(image, SHT_DYNSYM, symbols, dynamic, wide ? 24 : 16);
    put_section(image, SHT_DYNAMIC, dynamic, sections, wide ? 16 : 8);
    return sections;
}

static struct image image_of(struct kind kind)
{
    struct image image = {.kind = kind};
    put_header(&image, 0);
    size_t sections = put_rest(&image), size = image.size;
    image.size = 0;
    put_header(&image, sections);
    image.size = size;
    return image;
}

/* The file is in memory: thousands of variants of it are read. */
static int file;
static char path[32];

static void make_file(void)
{
    file = memfd_create("elf", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
}

static void save(const void *bytes, size_t size)
{
    if (ftruncate(file, 0) != 0 || pwrite(file, bytes, size, 0) != (ssize_t)size) {
        perror("memfd");
        exit(1);
    }
}

static bool is_own(struct kind kind)
{
#if defined(__x86_64__) && defined(__LP64__)
    return kind.wide && !kind.big && kind.machine == EM_X86_64;
#elif defined(__aarch64__) && defined(__LP64__) && !defined(__AARCH64EB__)
    return kind.wide && !kind.big && kind.machine == EM_AARCH64;
#else
    return false; /* none of `kinds` */
#endif
}

static bool same(const char *found, const char *expected)
{
    return found && strcmp(found, expected) == 0;
}

static void test_kind(struct kind kind)
{
    struct image image = image_of(kind);
    save(image.bytes, image.size);
    struct tt_elf *elf = tt_elf_open(path);
    CHECK(elf);
    if (!elf)
        return;
    CHECK(tt_elf_is_native(elf) == is_own(kind));
    CHECK(tt_elf_is_dynamic(elf));
    CHECK(tt_elf_nneeded(elf) == 1 && same(tt_elf_needed(elf, 0), "libown.so"));
    CHECK(!tt_elf_needed(elf, 1));
    CHECK(same(tt_elf_run_path(elf), "/run/own"));
    CHECK(tt_elf_nsymbols(elf) == 3);
    CHECK(!tt_elf_import(elf, 0) && same(tt_elf_import(elf, 1), "sgemm_") && !tt_elf_import(elf, 2));
    CHECK(!tt_elf_import(elf, 3));
    tt_elf_close(elf);
    struct tt_program program = tt_program_examine(path);
    CHECK(program.kind == (is_own(kind) ? TT_PROGRAM_DYNAMIC : TT_PROGRAM_FOREIGN));
    CHECK(program.nimports == is_own(kind));
    tt_program_free(&program);
}

/* Everything that can be asked; the answers are free, but names end inside the file. */
static void ask_all(void)
{
    struct tt_elf *elf = tt_elf_open(path);
    if (!elf)
        return;
    tt_elf_is_native(elf);
    tt_elf_is_dynamic(elf);
    size_t nneeded = tt_elf_nneeded(elf), nsymbols = tt_elf_nsymbols(elf);
    const char *run_path = tt_elf_run_path(elf);
    CHECK(!run_path || strlen(run_path) < sizeof names);
    CHECK(nneeded <= sizeof(struct image) && nsymbols <= sizeof(struct image));
    for (size_t i = 0; i < nneeded; i++)
        CHECK(strlen(tt_elf_needed(elf, i)) < sizeof names);
    for (size_t i = 0; i < nsymbols; i++)
        CHECK(!tt_elf_import(elf, i) || strlen(tt_elf_import(elf, i)) < sizeof names);
    tt_elf_close(elf);
}

static void test_damage(struct kind kind)
{
    struct image image = image_of(kind);
    static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (size_t size = 0; size < image.size; size++) {
        save(image.bytes, size);
        ask_all();
    }
    for (size_t at = 0; at < image.size; at++) {
        unsigned char whole = image.bytes[at];
        for (size_t i = 0; i < sizeof values; i++) {
            image.bytes[at] = values[i];
            save(image.bytes, image.size);
            ask_all();
        }
        image.bytes[at] = whole;
    }
}

static void test_no_elf(void)
{
    static const char text[] = "not an ELF file", archive[] = "!<arch>\n";
    save("", 0);
    CHECK(!tt_elf_open(path));
    save(text, sizeof text);
    CHECK(!tt_elf_open(path));
    save(archive, sizeof archive - 1);
    CHECK(!tt_elf_open(path));
    CHECK(!tt_elf_open("/"));
    CHECK(!tt_elf_open("/no/such/file"));
}

/* A name of a library may lead anywhere: opening it must not wait for a writer. */
static void test_pipe(void)
{
    char folder[] = "/tmp/tensortap-elf.XXXXXX", pipe[64];
    CHECK(mkdtemp(folder));
    snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    CHECK(mkfifo(pipe, 0600) == 0);
    CHECK(!tt_elf_open(pipe));
    unlink(pipe);
    rmdir(folder);
}

int main(void)
{
    make_file();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        test_kind(kinds[i]);
        test_damage(kinds[i]);
    }
    test_no_elf();
    test_pipe();
    return failures != 0;
}
