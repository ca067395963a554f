/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads program headers for the kind of file and section headers for symbols and needed libraries.
 */
#include "base/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#else
#define NATIVE_MACHINE EM_NONE
#endif

struct span {
    const char *data;
    size_t size;
};

struct tt_elf {
    struct span file;
    Elf64_Ehdr header;
    struct span symbols, symbol_names;
    struct span dynamic, dynamic_names;
};

/* `size` bytes at `offset`, empty when the file does not hold them. */
static struct span part(const struct tt_elf *elf, uint64_t offset, uint64_t size)
{
    if (offset > elf->file.size || size > elf->file.size - offset)
        return (struct span){0};
    return (struct span){elf->file.data + offset, (size_t)size};
}

static const char *string_at(struct span names, uint64_t offset)
{
    if (offset >= names.size || !memchr(names.data + offset, 0, names.size - (size_t)offset))
        return NULL;
    return names.data + offset;
}

static bool section_at(const struct tt_elf *elf, size_t index, Elf64_Shdr *section)
{
    struct span bytes = part(elf, elf->header.e_shoff + index * sizeof *section, sizeof *section);
    if (index >= elf->header.e_shnum || !bytes.data)
        return false;
    memcpy(section, bytes.data, sizeof *section);
    return true;
}

/* A table section and the strings that its sh_link names. */
static void take_section(const struct tt_elf *elf, const Elf64_Shdr *section, struct span *table,
                         struct span *names)
{
    Elf64_Shdr strings;
    *table = part(elf, section->sh_offset, section->sh_size);
    if (section_at(elf, section->sh_link, &strings))
        *names = part(elf, strings.sh_offset, strings.sh_size);
}

static void find_sections(struct tt_elf *elf)
{
    Elf64_Shdr section;
    for (size_t i = 0; section_at(elf, i, &section); i++) {
        if (section.sh_type == SHT_DYNSYM)
            take_section(elf, &section, &elf->symbols, &elf->symbol_names);
        if (section.sh_type == SHT_DYNAMIC)
            take_section(elf, &section, &elf->dynamic, &elf->dynamic_names);
    }
}

struct tt_elf *tt_elf_open(const char *path)
{
    struct stat info;
    struct tt_elf *elf = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return NULL;
    if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= (off_t)sizeof(Elf64_Ehdr)) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        elf = data == MAP_FAILED ? NULL : tt_alloc(sizeof *elf);
        if (elf)
            elf->file = (struct span){data, (size_t)info.st_size};
    }
    close(descriptor);
    if (!elf)
        return NULL;
    memcpy(&elf->header, elf->file.data, sizeof elf->header);
    const unsigned char *ident = elf->header.e_ident;
    if (memcmp(ident, ELFMAG, SELFMAG) != 0 || ident[EI_CLASS] != ELFCLASS64 ||
        ident[EI_DATA] != ELFDATA2LSB) {
        tt_elf_close(elf);
        return NULL;
    }
    find_sections(elf);
    return elf;
}

void tt_elf_close(struct tt_elf *elf)
{
    if (!elf)
        return;
    munmap((void *)elf->file.data, elf->file.size);
    free(elf);
}

bool tt_elf_is_native(const struct tt_elf *elf)
{
    return elf->header.e_machine == NATIVE_MACHINE;
}

bool tt_elf_is_dynamic(const struct tt_elf *elf)
{
    for (size_t i = 0; i < elf->header.e_phnum; i++) {
        Elf64_Phdr segment;
        struct span bytes = part(elf, elf->header.e_phoff + i * sizeof segment, sizeof segment);
        if (!bytes.data)
            return false;
        memcpy(&segment, bytes.data, sizeof segment);
        if (segment.p_type == PT_INTERP)
            return true;
    }
    return false;
}

/* The index-th dynamic entry with `tag`. */
static const char *dynamic_string(const struct tt_elf *elf, Elf64_Sxword tag, size_t index)
{
    Elf64_Dyn entry;
    for (size_t at = 0; at + sizeof entry <= elf->dynamic.size; at += sizeof entry) {
        memcpy(&entry, elf->dynamic.data + at, sizeof entry);
        if (entry.d_tag == tag && index-- == 0)
            return string_at(elf->dynamic_names, entry.d_un.d_val);
    }
    return NULL;
}

size_t tt_elf_nneeded(const struct tt_elf *elf)
{
    size_t count = 0;
    while (dynamic_string(elf, DT_NEEDED, count))
        count++;
    return count;
}

const char *tt_elf_needed(const struct tt_elf *elf, size_t index)
{
    return dynamic_string(elf, DT_NEEDED, index);
}

const char *tt_elf_run_path(const struct tt_elf *elf)
{
    const char *path = dynamic_string(elf, DT_RUNPATH, 0);
    return path ? path : dynamic_string(elf, DT_RPATH, 0);
}

size_t tt_elf_nsymbols(const struct tt_elf *elf)
{
    return elf->symbols.size / sizeof(Elf64_Sym);
}

const char *tt_elf_import(const struct tt_elf *elf, size_t index)
{
    Elf64_Sym symbol;
    memcpy(&symbol, elf->symbols.data + index * sizeof symbol, sizeof symbol);
    if (symbol.st_shndx != SHN_UNDEF || !symbol.st_name)
        return NULL;
    return string_at(elf->symbol_names, symbol.st_name);
}
