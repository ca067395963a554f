/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaving without destructors: _exit and _Exit close the capture first.
 *
 * Not inside a signal handler: the signal may have interrupted malloc, and closing allocates. A handled signal
 * is blocked while its handler runs, so with any fatal signal blocked the capture stays as it is: open, and
 * readable. abort, SIGKILL and the bare system call leave it like that, too; nothing complete is lost.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

static bool maybe_in_handler(void)
{
    static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE,  SIGILL, SIGTERM,
                                  SIGINT,  SIGQUIT, SIGHUP, SIGALRM, SIGUSR1, SIGUSR2};
    sigset_t blocked;
    if (sigprocmask(SIG_BLOCK, NULL, &blocked) < 0)
        return true;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (sigismember(&blocked, signals[i]))
            return true;
    return false;
}

static _Noreturn void leave(const char *name, int status)
{
    void (*real)(int) = (void (*)(int))dlsym(RTLD_NEXT, name);
    if (!maybe_in_handler())
        tt_core_close();
    if (real)
        real(status);
    for (;;)
        syscall(SYS_exit_group, status);
}

_Noreturn TT_EXPORT void _exit(int status)
{
    leave("_exit", status);
}

_Noreturn TT_EXPORT void _Exit(int status)
{
    leave("_Exit", status);
}
