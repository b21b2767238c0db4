// SPDX-License-Identifier: Apache-2.0
#include "HostChild.h"
#include "host/confinement/HostConfinement.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel has it from 5.9 on; glibc 2.31, which wheels are built for, has no name for it.
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum {
    // Of linux/landlock.h and linux/seccomp.h (Linux 5.19), which older systems lack.
    LANDLOCK_RESTRICT_SELF = 446,
    LISTENER_WAITS_KILLABLE = 1 << 5,
};

RUNS_IN_CHILD static void close_from(unsigned int first) {
    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
    struct rlimit limit;
    unsigned int end = 65536;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0 && limit.rlim_cur < end)
        end = (unsigned int)limit.rlim_cur;
    for (unsigned int descriptor = first; descriptor < end; descriptor++)
        syscall(SYS_close, descriptor);
}

/// The parent may have died before that call.
RUNS_IN_CHILD static bool dies_with(pid_t parent) {
    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return false;
    return syscall(SYS_getppid) == parent;
}

RUNS_IN_CHILD static int limit(int resource, unsigned long value) {
    struct rlimit limits;
    if (syscall(SYS_prlimit64, 0, resource, NULL, &limits) != 0)
        return errno;
    if (limits.rlim_cur > value)
        limits.rlim_cur = value;
    if (limits.rlim_max > value)
        limits.rlim_max = value;
    return syscall(SYS_prlimit64, 0, resource, &limits, NULL) != 0 ? errno : 0;
}

/// What is kept of capabilities is so with the change of the user only if it is said before, and with the execution of
/// a program only as ambient ones.
RUNS_IN_CHILD static int become_user(const struct host_confinement *confinement) {
    const uid_t user = confinement->user;
    if (confinement->kept_capabilities != 0 && syscall(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return errno;
    if (syscall(SYS_setgroups, confinement->group != 0 ? 1 : 0, &confinement->group) != 0 ||
        syscall(SYS_setresgid, user, user, user) != 0 || syscall(SYS_setresuid, user, user, user) != 0)
        return errno;
    return 0;
}

RUNS_IN_CHILD static int make_ambient(uint64_t capabilities) {
    for (int capability = 0; capability < 64; capability++)
        if ((capabilities >> capability & 1) != 0 &&
            syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
            return errno;
    return 0;
}

RUNS_IN_CHILD static int confine(const struct host_confinement *confinement, const char **step) {
    int error = 0;
    *step = "giving up capabilities";
    // Who lacks CAP_SETPCAP cannot lower what it could get at most; with no_new_privs it gets nothing of it.
    for (int capability = 0; capability < 64; capability++)
        if ((confinement->kept_capabilities >> capability & 1) == 0 &&
            syscall(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno == EINVAL)
            break;
    syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (confinement->user != 0) {
        *step = "becoming a user of its own";
        error = become_user(confinement);
        if (error != 0)
            return error;
        *step = "giving up capabilities";
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[2], keeps[2];
    if (syscall(SYS_capget, &header, has) != 0)
        return errno;
    for (int half = 0; half < 2; half++) {
        keeps[half].permitted = has[half].permitted & (uint32_t)(confinement->kept_capabilities >> 32 * half);
        keeps[half].effective = keeps[half].permitted;
        keeps[half].inheritable = confinement->user != 0 ? keeps[half].permitted : 0;
    }
    if (syscall(SYS_capset, &header, keeps) != 0)
        return errno;
    if (confinement->user != 0) {
        error = make_ambient(keeps[0].permitted | (uint64_t)keeps[1].permitted << 32);
        if (error != 0)
            return error;
    }
    *step = "keeping it from files (Landlock)";
    if (confinement->rules >= 0 && syscall(LANDLOCK_RESTRICT_SELF, confinement->rules, 0) != 0)
        return errno;
    return 0;
}

/// To the other end of a kept socket, with which the filter lets everything be sent.
RUNS_IN_CHILD static int send_listener(int listener, int socket) {
    char byte = 0;
    struct iovec text = {&byte, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct cmsghdr *header = (struct cmsghdr *)control;
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    *(int *)CMSG_DATA(header) = listener;
    const struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(sizeof(int))};
    int error = syscall(SYS_sendmsg, socket, &message, MSG_NOSIGNAL) != 1 ? errno : 0;
    syscall(SYS_close, listener);
    return error;
}

RUNS_IN_CHILD static int confine_calls(const struct host_confinement *confinement, const char **step) {
    *step = "limiting file descriptors";
    int error = limit(RLIMIT_NOFILE, confinement->descriptors);
    const host_filter *filter = confinement->filter;
    if (error != 0 || filter == NULL)
        return error;
    *step = "keeping it from system calls (seccomp)";
    for (size_t i = 0; i < filter->process_place_count; i++)
        filter->instructions[filter->process_places[i]].k = (uint32_t)syscall(SYS_getpid);
    const struct sock_fprog program = {.len = (unsigned short)filter->count, .filter = filter->instructions};
    // SECCOMP_FILTER_FLAG_SPEC_ALLOW would be needed on kernels before 5.16, which slow a filtered program down
    // otherwise; a guest must not read what is QEMU's, so it is not asked for.
    if (!filter->has_listener)
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0 ? errno : 0;
    // A call that was taken is not begun anew because of a signal: what was sent would be sent twice.
    const unsigned int flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | LISTENER_WAITS_KILLABLE, &program);
    if (listener < 0 && errno == EINVAL)
        listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    return listener < 0 ? errno : send_listener((int)listener, confinement->listener_socket);
}

/// All descriptors first out of the way, so that none is overwritten before it was moved.
RUNS_IN_CHILD static int hand_over(const int *descriptors, size_t count) {
    int moved[count];
    for (size_t i = 0; i < count; i++) {
        moved[i] = (int)syscall(SYS_fcntl, descriptors[i], F_DUPFD, (int)count);
        if (moved[i] < 0)
            return errno;
    }
    for (size_t i = 0; i < count; i++)
        if (syscall(SYS_dup3, moved[i], (int)i, 0) < 0)
            return errno;
    close_from((unsigned int)count);
    return 0;
}

RUNS_IN_CHILD int host_child_become(const host_spawn_plan *plan, pid_t parent, const char **step) {
    *step = "preparing the process";
    // A terminal's Ctrl-C is for the host program, which decides what becomes of its machines.
    syscall(SYS_setsid);
    if (!dies_with(parent))
        return ECHILD;
    if (syscall(SYS_chdir, "/") != 0)
        return errno;
    // What it would leave in a file at a crash has the guest's memory in it.
    const struct rlimit no_core = {0};
    if (syscall(SYS_prlimit64, 0, RLIMIT_CORE, &no_core, NULL) != 0)
        return errno;
    // While it has the rights for that, and before it has taken anything.
    *step = "joining the control group";
    if (plan->control_group > 0 && syscall(SYS_write, plan->control_group, "0", 1) != 1)
        return errno;
    *step = "preparing the process";
    if (!plan->may_gain_privileges && syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    // Before the descriptors are handed over: its own is not one of them.
    const struct host_confinement *confinement = plan->confinement;
    int error = confinement != NULL ? confine(confinement, step) : 0;
    if (error != 0)
        return error;
    // With another user the kernel forgets the signal.
    if (confinement != NULL && confinement->user != 0 && !dies_with(parent))
        return ECHILD;
    *step = "handing over file descriptors";
    error = hand_over(plan->descriptors, plan->descriptor_count);
    if (error == 0 && plan->prepare != NULL)
        error = plan->prepare(plan->context, step);
    if (error != 0)
        return error;
    const uint64_t no_signal = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signal, NULL, sizeof no_signal);
    return confinement != NULL ? confine_calls(confinement, step) : 0;
}
