/* SPDX-License-Identifier: Apache-2.0
 *
 * The child of `tensortap run`: start, signals, end.
 *
 * It stays in our process group, so the terminal's signals (INT, QUIT, TSTP, WINCH) reach it without
 * help; what somebody sends to our process alone is passed on. Signals are taken one by one with
 * sigwaitinfo, so there is no handler and no race with the child's end.
 */
#include "commands/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Stopping signals are not in the list: their default action stops us as it stops the child, which is what
 * job control expects. */
static const int forwarded[] = {SIGHUP,  SIGINT,   SIGQUIT, SIGTERM, SIGUSR1,
                                SIGUSR2, SIGWINCH, SIGALRM, SIGPIPE};

struct inherited { /* to be given back to the child */
    sigset_t mask;
    struct sigaction child_action;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void take_signals(sigset_t *waited, struct inherited *inherited)
{
    struct sigaction standard = {.sa_handler = SIG_DFL}; /* an ignored SIGCHLD would lose the exit status */
    sigemptyset(waited);
    sigaddset(waited, SIGCHLD);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaddset(waited, forwarded[i]);
    sigaction(SIGCHLD, &standard, &inherited->child_action);
    sigprocmask(SIG_BLOCK, waited, &inherited->mask);
}

static void give_signals_back(const struct inherited *inherited)
{
    sigaction(SIGCHLD, &inherited->child_action, NULL);
    sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
}

/* In the child; comes back only through _exit. */
static void become(char *const *argv, const struct inherited *inherited, int report)
{
    give_signals_back(inherited);
    execvp(argv[0], argv);
    int reason = errno;
    ssize_t written = write(report, &reason, sizeof reason);
    (void)written;
    _exit(reason == ENOENT ? 127 : 126);
}

/* When the child alone was stopped, our shell has to see us stop as well. */
static void follow_stop(pid_t child)
{
    raise(SIGSTOP);
    kill(child, SIGCONT);
}

static int wait_for(pid_t child, const sigset_t *waited)
{
    int status;
    siginfo_t info;
    for (;;) {
        pid_t changed = waitpid(child, &status, WNOHANG | WUNTRACED);
        if (changed == child && WIFSTOPPED(status)) {
            follow_stop(child);
            continue;
        }
        if (changed == child)
            return status;
        int signal_number = sigwaitinfo(waited, &info);
        if (signal_number > 0 && signal_number != SIGCHLD && info.si_code <= 0)
            kill(child, signal_number); /* si_code > 0: from the terminal, the child has it already */
    }
}

int tt_run_child(char *const *argv, struct tt_run_result *result, struct tt_error *error)
{
    struct inherited inherited;
    sigset_t waited;
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return tt_fail(error, TT_ESYSTEM, "cannot make a pipe");
    double started = now();
    take_signals(&waited, &inherited);
    pid_t child = fork();
    if (child == 0)
        become(argv, &inherited, report[1]);
    close(report[1]);
    if (child > 0) {
        int status = wait_for(child, &waited);
        result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        result->status = result->signal ? 128 + result->signal : WEXITSTATUS(status);
        if (read(report[0], &result->exec_errno, sizeof result->exec_errno) != sizeof result->exec_errno)
            result->exec_errno = 0;
    }
    close(report[0]);
    give_signals_back(&inherited);
    result->seconds = now() - started;
    return child > 0 ? 0 : tt_fail(error, TT_ESYSTEM, "cannot make a process");
}
