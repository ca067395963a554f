/* SPDX-License-Identifier: Apache-2.0
 *
 * The dispatcher behind the stubs of bare names, see bare.h.
 */
#include "blas/bare.h"

#ifdef TT_HAVE_BARE_NAMES

#include "core.h"

__attribute__((used)) TT_HIDDEN void *tt_bare_target(struct tt_bare_entry *entry, const void *caller)
{
    const struct tt_binding *binding = tt_real_binding(&entry->site, caller);
    return tt_core_on() && tt_real_genuine(binding) ? entry->wrapper : binding->function;
}

/* r11: the entry. Everything that may carry an argument is kept: rdi rsi rdx rcx r8 r9, rax (number of vector
 * registers of a variadic call), r10 (static chain), xmm0-7. 8(%rbp) is the caller's return address, and the
 * arguments on its stack stay where they are because the stub jumps. */
__asm__(".pushsection .text\n"
        ".p2align 4\n"
        ".hidden tt_bare_dispatch\n"
        ".globl tt_bare_dispatch\n"
        ".type tt_bare_dispatch, @function\n"
        "tt_bare_dispatch:\n"
        "    .cfi_startproc\n"
        "    pushq %rbp\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset %rbp, -16\n"
        "    movq %rsp, %rbp\n"
        "    .cfi_def_cfa_register %rbp\n"
        "    subq $192, %rsp\n"
        "    movq %rdi, -8(%rbp)\n"
        "    movq %rsi, -16(%rbp)\n"
        "    movq %rdx, -24(%rbp)\n"
        "    movq %rcx, -32(%rbp)\n"
        "    movq %r8, -40(%rbp)\n"
        "    movq %r9, -48(%rbp)\n"
        "    movq %rax, -56(%rbp)\n"
        "    movq %r10, -64(%rbp)\n"
        "    movups %xmm0, -80(%rbp)\n"
        "    movups %xmm1, -96(%rbp)\n"
        "    movups %xmm2, -112(%rbp)\n"
        "    movups %xmm3, -128(%rbp)\n"
        "    movups %xmm4, -144(%rbp)\n"
        "    movups %xmm5, -160(%rbp)\n"
        "    movups %xmm6, -176(%rbp)\n"
        "    movups %xmm7, -192(%rbp)\n"
        "    movq %r11, %rdi\n"
        "    movq 8(%rbp), %rsi\n"
        "    andq $-16, %rsp\n"
        "    call tt_bare_target\n"
        "    movq %rax, %r11\n"
        "    movq -8(%rbp), %rdi\n"
        "    movq -16(%rbp), %rsi\n"
        "    movq -24(%rbp), %rdx\n"
        "    movq -32(%rbp), %rcx\n"
        "    movq -40(%rbp), %r8\n"
        "    movq -48(%rbp), %r9\n"
        "    movq -56(%rbp), %rax\n"
        "    movq -64(%rbp), %r10\n"
        "    movups -80(%rbp), %xmm0\n"
        "    movups -96(%rbp), %xmm1\n"
        "    movups -112(%rbp), %xmm2\n"
        "    movups -128(%rbp), %xmm3\n"
        "    movups -144(%rbp), %xmm4\n"
        "    movups -160(%rbp), %xmm5\n"
        "    movups -176(%rbp), %xmm6\n"
        "    movups -192(%rbp), %xmm7\n"
        "    leave\n"
        "    .cfi_def_cfa %rsp, 8\n"
        "    jmp *%r11\n"
        "    .cfi_endproc\n"
        ".size tt_bare_dispatch, . - tt_bare_dispatch\n"
        ".popsection\n");

#endif
