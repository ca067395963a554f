/* SPDX-License-Identifier: Apache-2.0
 *
 * libelf checks offsets and converts class and byte order: nothing here depends on either. The file stays
 * mapped while it is open, all names point into it.
 */
#include "base/elf_file.h"

#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"

/* This tool's own header, which the linker places: what native means, without a list of machines. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* A section of fixed-size entries and the section that holds their names. */
struct table {
    Elf_Data *entries; /* NULL: the file has none */
    size_t names;
};

struct tt_elf {
    int descriptor;
    Elf *elf;
    GElf_Ehdr header;
    struct table symbols, dynamic;
};

static void find_tables(struct tt_elf *elf)
{
    GElf_Shdr header;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf->elf, section));) {
        if (!gelf_getshdr(section, &header))
            continue;
        if (header.sh_type == SHT_DYNSYM)
            elf->symbols = (struct table){elf_getdata(section, NULL), header.sh_link};
        if (header.sh_type == SHT_DYNAMIC)
            elf->dynamic = (struct table){elf_getdata(section, NULL), header.sh_link};
    }
}

struct tt_elf *tt_elf_open(const char *path)
{
    struct tt_elf *elf = tt_alloc(sizeof *elf);
    elf_version(EV_CURRENT);
    elf->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait */
    elf->elf = elf->descriptor < 0 ? NULL : elf_begin(elf->descriptor, ELF_C_READ_MMAP, NULL);
    /* An archive has no header of its own. */
    if (!elf->elf || !gelf_getehdr(elf->elf, &elf->header)) {
        tt_elf_close(elf);
        return NULL;
    }
    find_tables(elf);
    return elf;
}

void tt_elf_close(struct tt_elf *elf)
{
    if (!elf)
        return;
    elf_end(elf->elf);
    if (elf->descriptor >= 0)
        close(elf->descriptor);
    free(elf);
}

bool tt_elf_is_native(const struct tt_elf *elf)
{
    return elf->header.e_machine == __ehdr_start.e_machine &&
           elf->header.e_ident[EI_CLASS] == __ehdr_start.e_ident[EI_CLASS] &&
           elf->header.e_ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA];
}

bool tt_elf_is_dynamic(const struct tt_elf *elf)
{
    GElf_Phdr segment;
    for (int i = 0; gelf_getphdr(elf->elf, i, &segment); i++)
        if (segment.p_type == PT_INTERP)
            return true;
    return false;
}

/* The index-th dynamic entry with `tag`. */
static const char *dynamic_string(const struct tt_elf *elf, GElf_Sxword tag, size_t index)
{
    GElf_Dyn entry;
    for (int i = 0; gelf_getdyn(elf->dynamic.entries, i, &entry); i++)
        if (entry.d_tag == tag && index-- == 0)
            return elf_strptr(elf->elf, elf->dynamic.names, entry.d_un.d_val);
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
    const Elf_Data *entries = elf->symbols.entries;
    return entries ? entries->d_size / gelf_fsize(elf->elf, ELF_T_SYM, 1, EV_CURRENT) : 0;
}

const char *tt_elf_import(const struct tt_elf *elf, size_t index)
{
    GElf_Sym symbol;
    if (!gelf_getsym(elf->symbols.entries, (int)index, &symbol) || symbol.st_shndx != SHN_UNDEF ||
        !symbol.st_name)
        return NULL;
    return elf_strptr(elf->elf, elf->symbols.names, symbol.st_name);
}
