// SPDX-License-Identifier: Apache-2.0
#include "HostSpawn.h"
#include "HostChild.h"
#include "host/confinement/HostConfinement.h"
#include <dispatch/descriptor.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_STACK_SIZE = 128 * 1024 };

// The kernel has it from 5.4 on; glibc 2.31, which wheels are built for, has no name for it.
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

typedef struct {
    const host_spawn_plan *plan;
    pid_t parent;
    // Written by the child, read by the parent, which is held until the child executes the program or ends.
    int error;
    const char *step;
} child_context;

// clone() under the name that ThreadSanitizer does not take for a fork.
extern int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...);

// What the kernel's rt_sigaction takes; the C library's own structure is another.
typedef struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
} kernel_sigaction;

/// Only system calls from here on, and none through the C library: the parent's other threads run on, with locks held
/// that this process will never see released, and a sanitizer would take what is done here for the parent's doing.
RUNS_IN_CHILD static int child_main(void *argument) {
    child_context *context = argument;
    const host_spawn_plan *plan = context->plan;
    const kernel_sigaction standard = {.handler = SIG_DFL};
    for (int signal = 1; signal < NSIG; signal++)
        syscall(SYS_rt_sigaction, signal, &standard, NULL,
                sizeof standard.mask); // refuses those that have no disposition
    context->error = host_child_become(plan, context->parent, &context->step);
    if (context->error == 0) {
        context->step = "executing the program";
        syscall(SYS_execve, plan->path, plan->arguments, plan->environment);
        context->error = errno;
    }
    syscall(SYS_exit_group, 127);
    __builtin_unreachable();
}

/// The pidfd above the standard descriptors; where it is one of those and cannot be moved, itself: the child cannot do
/// without.
static int settle(int pidfd) {
    if (pidfd >= LOWEST_DESCRIPTOR)
        return pidfd;
    int moved = fcntl(pidfd, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (moved < 0)
        return pidfd;
    close(pidfd);
    return moved;
}

/// Makes the child and holds the calling thread until it executes a program or ends. Its process id, or a negative
/// errno.
static pid_t make_child(int (*function)(void *), void *context, int signal, int *pidfd) {
    void *stack = mmap(NULL, CHILD_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    // No handler of the host program may run in the child, on the parent's memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = __clone(function, (char *)stack + CHILD_STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | signal,
                          context, pidfd);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, CHILD_STACK_SIZE);
    if (child < 0)
        return -error;
    *pidfd = settle(*pidfd);
    return child;
}

int host_spawn(const host_spawn_plan *plan, int *pidfd, const char **step) {
    child_context context = {.plan = plan, .parent = getpid(), .step = "preparing the process"};
    int descriptor = -1;
    // With another user in the child the kernel takes the memory, which is this process's, for one that nobody may look
    // into, and leaves it at that: this process would leave no core file any more.
    bool changes_user = plan->confinement != NULL && plan->confinement->user != 0;
    bool may_be_dumped = changes_user && prctl(PR_GET_DUMPABLE) == 1;
    pid_t child = make_child(child_main, &context, SIGCHLD, &descriptor);
    if (may_be_dumped)
        prctl(PR_SET_DUMPABLE, 1);
    int error = child < 0 ? -child : context.error;
    *step = child < 0 ? "creating the process" : context.step;
    if (child < 0)
        return error;
    if (error != 0) {
        host_reap(descriptor);
        close(descriptor);
        return error;
    }
    *pidfd = descriptor;
    return 0;
}

typedef struct {
    host_child_function function;
    void *context;
    int error;
    const char *step;
} call_context;

RUNS_IN_CHILD static int call_main(void *argument) {
    call_context *call = argument;
    call->error = call->function(call->context, &call->step);
    syscall(SYS_exit_group, 0);
    __builtin_unreachable();
}

int host_call_in_child(host_child_function function, void *context, const char **step) {
    call_context call = {.function = function, .context = context, .step = "creating the process"};
    int descriptor = -1;
    // No signal at its end: a SIGCHLD handler hears nothing, and a wait for any child passes over it.
    pid_t child = make_child(call_main, &call, 0, &descriptor);
    *step = call.step;
    if (child < 0)
        return -child;
    host_reap(descriptor);
    close(descriptor);
    return call.error;
}

host_exit host_reap(int pidfd) {
    siginfo_t information = {0};
    int result;
    do
        result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &information, WEXITED | __WALL);
    while (result != 0 && errno == EINTR);
    // ECHILD: the host program ignores SIGCHLD, or waits for any child and got this one.
    if (result != 0)
        return (host_exit){.known = false};
    return (host_exit){.known = true, .signalled = information.si_code != CLD_EXITED, .status = information.si_status};
}

void host_kill(int pidfd) {
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

bool host_await_exit(int pidfd, int milliseconds) {
    struct pollfd descriptor = {.fd = pidfd, .events = POLLIN};
    // Our own threads have all signals blocked; a caller's may be interrupted, and then waits anew.
    int result;
    do
        result = poll(&descriptor, 1, milliseconds);
    while (result < 0 && errno == EINTR);
    return result > 0;
}

bool host_probe_in_child(bool (*probe)(void), int milliseconds) {
    int pidfd = -1;
    // The bare system call: no fork handlers of the host program. No signal at its end, so a SIGCHLD handler hears
    // nothing, and a wait for any child passes over it.
    long child = syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        syscall(SYS_exit_group, probe() ? 0 : 1);
        __builtin_unreachable();
    }
    if (child < 0)
        return false;
    pidfd = settle(pidfd);
    if (!host_await_exit(pidfd, milliseconds))
        host_kill(pidfd);
    host_exit end = host_reap(pidfd);
    close(pidfd);
    return end.known && !end.signalled && end.status == 0;
}
