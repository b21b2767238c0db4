// SPDX-License-Identifier: Apache-2.0
#include "HostSupervision.h"
#include "HostAddresses.h"
#include "HostSpawn.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <dispatch/descriptor.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    // The number is the same on every architecture; older headers do not name it.
    CALL_PIDFD_GETFD = 438,
    ROOM_FOR_NOTICE = 512,
    // Of linux/seccomp.h, which older systems lack (Linux 6.6).
    WAKES_HERE = 1,
    ROOM_FOR_STACK = 16 * 1024,
};

#define SET_FLAGS _IOW('!', 4, uint64_t)

/// Of linux/seccomp.h, which older systems lack (Linux 5.9).
struct notice_of_descriptor {
    uint64_t identifier;
    uint32_t flags;
    uint32_t source;
    uint32_t number; // there; 0 for any
    uint32_t flags_there;
};

#define ADD_DESCRIPTOR _IOW('!', 3, struct notice_of_descriptor)

#pragma mark Whether there is such a thing

typedef struct {
    int pipe[2];
    int listener; // its number in the child of the child; or a negative errno
    char word;
} trial;

// clone() under the name that ThreadSanitizer does not take for a fork.
extern int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...);

/// The program that is supervised: on the memory of its parent, which waits for the pipe meanwhile, so that the two do
/// not use errno at once.
RUNS_IN_CHILD static int supervised_main(void *argument) {
    trial *tried = argument;
    static struct sock_filter instructions[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog program = {.len = 1, .filter = instructions};
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    tried->listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (tried->listener < 0)
        tried->listener = -errno;
    syscall(SYS_write, tried->pipe[1], &tried->word, 1);
    for (;;)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

RUNS_IN_CHILD static int look_at(trial *tried, pid_t child, int pidfd, const char **step) {
    char byte;
    syscall(SYS_close, tried->pipe[1]);
    if (syscall(SYS_read, tried->pipe[0], &byte, 1) != 1)
        return ECHILD;
    *step = "listening to system calls";
    if (tried->listener < 0)
        return -tried->listener;
    *step = "taking a descriptor of a child";
    if (syscall(CALL_PIDFD_GETFD, pidfd, tried->listener, 0) < 0)
        return errno;
    *step = "reading a child's memory";
    struct iovec here = {&byte, 1}, there = {&tried->word, 1};
    return syscall(SYS_process_vm_readv, child, &here, 1, &there, 1, 0) < 0 ? errno : 0;
}

RUNS_IN_CHILD static int try_in_child(void *context, const char **step) {
    trial *tried = context;
    _Alignas(16) char stack[ROOM_FOR_STACK];
    *step = "making a child";
    if (syscall(SYS_pipe2, tried->pipe, O_CLOEXEC) != 0)
        return errno;
    int pidfd = -1;
    pid_t child = __clone(supervised_main, stack + sizeof stack, CLONE_VM | CLONE_PIDFD, tried, &pidfd);
    if (child < 0)
        return errno;
    int error = look_at(tried, child, pidfd, step);
    syscall(SYS_kill, child, SIGKILL);
    syscall(SYS_wait4, child, NULL, __WALL, NULL);
    return error;
}

static int error_of_routes(const char **step) {
    const host_address loopback = {.four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    *step = "asking the kernel for routes";
    int routes = host_routes_open();
    if (routes < 0)
        return errno;
    int error = host_address_error(routes, &loopback);
    close(routes);
    return error == EACCES ? 0 : EPROTO;
}

int host_supervision_error(const char **step) {
    static atomic_bool is_there;
    if (atomic_load(&is_there))
        return 0;
    struct seccomp_notif_sizes sizes = {0};
    *step = "listening to system calls";
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0)
        return errno;
    if (sizes.seccomp_notif > ROOM_FOR_NOTICE || sizes.seccomp_notif_resp > ROOM_FOR_NOTICE)
        return EMSGSIZE;
    trial tried = {.listener = -ECHILD};
    int error = host_call_in_child(try_in_child, &tried, step);
    if (error == 0)
        error = error_of_routes(step);
    if (error == 0)
        atomic_store(&is_there, true);
    return error;
}

#pragma mark Calls

int host_call_receive(int listener, host_call *call) {
    // The kernel's structure may be longer than the header's.
    union {
        struct seccomp_notif notice;
        char room[ROOM_FOR_NOTICE];
    } received;
    memset(&received, 0, sizeof received);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &received) != 0)
        return errno;
    call->identifier = received.notice.id;
    call->thread = (pid_t)received.notice.pid;
    call->number = received.notice.data.nr;
    for (int i = 0; i < 6; i++)
        call->arguments[i] = received.notice.data.args[i];
    return 0;
}

bool host_call_read(const host_call *call, uint64_t address, void *buffer, size_t length) {
    struct iovec here = {buffer, length}, there = {(void *)(uintptr_t)address, length};
    return length == 0 || process_vm_readv(call->thread, &here, 1, &there, 1, 0) == (ssize_t)length;
}

bool host_call_write(const host_call *call, uint64_t address, const void *buffer, size_t length) {
    struct iovec here = {(void *)buffer, length}, there = {(void *)(uintptr_t)address, length};
    return process_vm_writev(call->thread, &here, 1, &there, 1, 0) == (ssize_t)length;
}

bool host_call_waits(int listener, const host_call *call) {
    uint64_t identifier = call->identifier;
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &identifier) == 0;
}

int host_call_descriptor(int pidfd, int number) {
    return descriptor_above_standard((int)syscall(CALL_PIDFD_GETFD, pidfd, number, 0));
}

long host_call_descriptor_count(const host_call *call) {
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)call->thread);
    // From Linux 6.2 on that is the number.
    if (stat(path, &status) == 0 && status.st_size > 0)
        return (long)status.st_size;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    long count = -2; // "." and ".."
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void respond(int listener, struct seccomp_notif_resp response) {
    union {
        struct seccomp_notif_resp response;
        char room[ROOM_FOR_NOTICE];
    } sent;
    memset(&sent, 0, sizeof sent);
    sent.response = response;
    // Whose thread is gone waits for nothing.
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &sent);
}

void host_call_answer(int listener, const host_call *call, int64_t value, int error) {
    respond(listener,
            (struct seccomp_notif_resp){.id = call->identifier, .val = error != 0 ? 0 : value, .error = -error});
}

void host_call_allow(int listener, const host_call *call) {
    respond(listener, (struct seccomp_notif_resp){.id = call->identifier, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}

void host_call_give(int listener, const host_call *call, int descriptor) {
    struct notice_of_descriptor given = {
        .identifier = call->identifier, .source = (uint32_t)descriptor, .flags_there = O_CLOEXEC};
    int number = ioctl(listener, ADD_DESCRIPTOR, &given);
    host_call_answer(listener, call, number, number < 0 ? errno : 0);
}

int host_listener_take(int socket) {
    char byte;
    struct iovec text = {&byte, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t count;
    do
        count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    const struct cmsghdr *header = count == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int))) {
        // Without room for another descriptor the kernel leaves it out.
        if (count >= 0)
            errno = (message.msg_flags & MSG_CTRUNC) != 0 ? EMFILE : EPROTO;
        return -1;
    }
    int listener;
    memcpy(&listener, CMSG_DATA(header), sizeof listener);
    // Who makes a call waits: whoever answers it may run on the same processor. Where the kernel cannot, it takes
    // longer.
    ioctl(listener, SET_FLAGS, WAKES_HERE);
    return descriptor_above_standard(listener);
}
