/* SPDX-License-Identifier: Apache-2.0
 *
 * Undecorated names (saxpy, SGEMM). MKL exports its Fortran routines under them, and many a program has a
 * saxpy of its own with arguments of its own. The exported symbol is therefore a stub that keeps every argument
 * register, asks which function the caller means, and jumps: to our wrapper when the library's object also
 * exports the companion name, else straight to the program's function.
 *
 * Written for x86-64; elsewhere bare names are not exported.
 */
#ifndef TT_BLAS_BARE_H
#define TT_BLAS_BARE_H

#if defined(__x86_64__) && defined(__ELF__)
#define TT_HAVE_BARE_NAMES 1
#endif

#ifndef TT_NAMES_ONLY /* the version script needs no more than that */
#include "real.h"

#define TT_HIDDEN __attribute__((visibility("hidden")))

struct tt_bare_entry {
    struct tt_site site;
    void *wrapper; /* of a bare name; NULL for others */
};

/* Where the stub jumps to. Keeps errno; called with the stub's caller. */
void *tt_bare_target(struct tt_bare_entry *entry, const void *caller);

#define TT_BARE_ENTRY(NAME) TT_HIDDEN extern struct tt_bare_entry tt_entry_##NAME;

#define TT_BARE_STUB(NAME, COMPANION)                                                                        \
    struct tt_bare_entry tt_entry_##NAME = {.site = {.name = #NAME, .companion = #COMPANION},                \
                                            .wrapper = (void *)tt_bare_##NAME};                              \
    __asm__(".pushsection .text\n"                                                                           \
            ".p2align 4\n"                                                                                   \
            ".globl " #NAME "\n"                                                                             \
            ".type " #NAME ", @function\n"                                                                   \
            #NAME ":\n"                                                                                      \
            "    endbr64\n"                                                                                  \
            "    leaq tt_entry_" #NAME "(%rip), %r11\n"                                                      \
            "    jmp tt_bare_dispatch\n"                                                                     \
            ".size " #NAME ", . - " #NAME "\n"                                                               \
            ".popsection\n");
#endif

#endif
