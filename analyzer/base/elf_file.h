/* SPDX-License-Identifier: Apache-2.0
 *
 * The few facts of an ELF file that decide whether a tap can reach it, of either class and byte order.
 * A damaged file gives fewer facts and never a fault.
 */
#ifndef TT_BASE_ELF_FILE_H
#define TT_BASE_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct tt_elf;

struct tt_elf *tt_elf_open(const char *path); /* NULL: not readable or no ELF file */
void tt_elf_close(struct tt_elf *elf);

bool tt_elf_is_native(const struct tt_elf *elf);  /* architecture, class and byte order of this tool */
bool tt_elf_is_dynamic(const struct tt_elf *elf); /* names an interpreter */

size_t tt_elf_nneeded(const struct tt_elf *elf);
const char *tt_elf_needed(const struct tt_elf *elf, size_t index);
const char *tt_elf_run_path(const struct tt_elf *elf); /* RUNPATH, else RPATH, else NULL */

size_t tt_elf_nsymbols(const struct tt_elf *elf);                  /* dynamic ones */
const char *tt_elf_import(const struct tt_elf *elf, size_t index); /* name if undefined here, else NULL */

#endif
