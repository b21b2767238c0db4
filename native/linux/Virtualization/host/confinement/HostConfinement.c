// SPDX-License-Identifier: Apache-2.0
#include "HostConfinement.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma mark Landlock

// Of linux/landlock.h, which older systems lack. The numbers of the calls are the same on every architecture.
enum {
    LANDLOCK_CREATE_RULESET = 444,
    LANDLOCK_ADD_RULE = 445,
    CREATE_RULESET_VERSION = 1,
    RULE_PATH_BENEATH = 1,
};

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_OF_VERSION_1 = (1 << 13) - 1, // these, and to make and to remove each kind of file
    FS_REFER = 1 << 13,
    FS_TRUNCATE = 1 << 14,
    FS_IOCTL_DEV = 1 << 15,
    NET_BIND_AND_CONNECT_TCP = 3,
    SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3,
};

struct ruleset {
    uint64_t handled_fs;
    uint64_t handled_net; // from version 4 on
    uint64_t scoped;      // … 6 on
};

struct __attribute__((packed)) path_beneath {
    uint64_t allowed;
    int32_t parent;
};

static long landlock_answer(void) {
    return syscall(LANDLOCK_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
}

int host_landlock_version(void) {
    long version = landlock_answer();
    return version > 0 ? (int)version : 0;
}

int host_landlock_error(void) {
    return landlock_answer() < 0 ? errno : 0;
}

/// What a kernel refuses unless a rule allows it. Of what it does not know it refuses nothing.
static uint64_t handled_by(int version) {
    return (uint64_t)FS_OF_VERSION_1 | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
           (version >= 5 ? FS_IOCTL_DEV : 0);
}

int host_landlock_rules(bool sockets) {
    int version = host_landlock_version();
    struct ruleset rules = {
        .handled_fs = handled_by(version),
        .handled_net = version >= 4 && !sockets ? NET_BIND_AND_CONNECT_TCP : 0,
        .scoped = version >= 6 ? SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS : 0,
    };
    size_t size = version >= 6   ? sizeof rules
                  : version >= 4 ? offsetof(struct ruleset, scoped)
                                 : offsetof(struct ruleset, handled_net);
    return (int)syscall(LANDLOCK_CREATE_RULESET, &rules, size, 0);
}

int host_landlock_allow(int rules, int descriptor, host_access access) {
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return errno;
    uint64_t allowed = (access & HOST_EXECUTE ? FS_EXECUTE : 0) | (access & HOST_READ ? FS_READ_FILE : 0) |
                       (access & HOST_WRITE ? FS_WRITE_FILE | FS_TRUNCATE : 0) |
                       (access & HOST_CONTROL ? FS_IOCTL_DEV : 0);
    if (S_ISDIR(status.st_mode) && (access & HOST_READ) != 0)
        allowed |= FS_READ_DIR;
    struct path_beneath rule = {.allowed = allowed & handled_by(host_landlock_version()), .parent = descriptor};
    if (syscall(LANDLOCK_ADD_RULE, rules, RULE_PATH_BENEATH, &rule, 0) == 0)
        return 0;
    // A file that is in no file system of the host's, as a pipe, a socket or a memfd: no rule is needed.
    return errno == EBADFD ? 0 : errno;
}

int host_landlock_allow_path(int rules, const char *path, host_access access) {
    int descriptor = open(path, O_PATH | O_CLOEXEC);
    if (descriptor < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ? 0 : errno;
    int error = host_landlock_allow(rules, descriptor, access);
    close(descriptor);
    return error;
}

#pragma mark The filter of system calls

#if defined(__x86_64__)
enum { ARCHITECTURE = AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { ARCHITECTURE = AUDIT_ARCH_AARCH64 };
#else
#error "The filter of system calls does not know this architecture."
#endif

enum {
    // Of calls that came later nothing is known: a program does without them, as on an older kernel.
    FIRST_UNKNOWN_CALL = 453,
    X32_CALLS = 0x40000000,
    ROOM = 2048,
};

/// Calls of the kernel, with numbers that are the same on every architecture, that older headers do not name.
enum {
    CALL_PIDFD_SEND_SIGNAL = 424,
    CALL_IO_URING_SETUP = 425,
    CALL_IO_URING_ENTER = 426,
    CALL_IO_URING_REGISTER = 427,
    CALL_OPEN_TREE = 428,
    CALL_MOVE_MOUNT = 429,
    CALL_FSOPEN = 430,
    CALL_FSCONFIG = 431,
    CALL_FSMOUNT = 432,
    CALL_FSPICK = 433,
    CALL_PIDFD_OPEN = 434,
    CALL_CLONE3 = 435,
    CALL_CLOSE_RANGE = 436,
    CALL_PIDFD_GETFD = 438,
    CALL_PROCESS_MADVISE = 440,
    CALL_MOUNT_SETATTR = 442,
    CALL_QUOTACTL_FD = 443,
    CALL_MEMFD_SECRET = 447,
    CALL_PROCESS_MRELEASE = 448,
    CALL_FCHMODAT2 = 452,
};

/// Refused with EPERM.
static const unsigned int refused_calls[] = {
// To make processes; execve is left, for the program itself: Landlock says what it executes.
#ifdef SYS_fork
    SYS_fork,
    SYS_vfork,
#endif
    SYS_execveat,
    // Other processes.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_rt_sigqueueinfo,
    CALL_PIDFD_SEND_SIGNAL,
    CALL_PIDFD_OPEN,
    CALL_PIDFD_GETFD,
    CALL_PROCESS_MADVISE,
    CALL_PROCESS_MRELEASE,
    SYS_migrate_pages,
    SYS_move_pages,
    // Queues that processes share by numbers that anybody can guess.
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_mq_open,
    SYS_mq_unlink,
// Owners, modes, times, attributes and names of files, which Landlock does not look at, or not all of them.
#ifdef SYS_chmod
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_mknod,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_link,
    SYS_symlink,
    SYS_rename,
    SYS_creat,
#endif
    SYS_fchmod,
    SYS_fchmodat,
    CALL_FCHMODAT2,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_mknodat,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_linkat,
    SYS_symlinkat,
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_renameat2,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    // Namespaces, mounts and roots.
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    CALL_OPEN_TREE,
    CALL_MOVE_MOUNT,
    CALL_FSOPEN,
    CALL_FSCONFIG,
    CALL_FSMOUNT,
    CALL_FSPICK,
    CALL_MOUNT_SETATTR,
    SYS_quotactl,
    CALL_QUOTACTL_FD,
    // Rights.
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_capset,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    // The system.
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_syslog,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_vhangup,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_lookup_dcookie,
    CALL_MEMFD_SECRET,
    SYS_setpriority,
    SYS_ioprio_set,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
#endif
};

/// The same, of memory and semaphores that processes share by numbers.
static const unsigned int shared_memory_calls[] = {SYS_shmget, SYS_shmat,      SYS_shmctl, SYS_semget,
                                                   SYS_semop,  SYS_semtimedop, SYS_semctl};

/// Refused with ENOSYS, at which the C library or QEMU takes the older way.
static const unsigned int unknown_calls[] = {CALL_CLONE3, CALL_IO_URING_SETUP, CALL_IO_URING_ENTER,
                                             CALL_IO_URING_REGISTER};

static void add(host_filter *filter, struct sock_filter instruction) {
    // The tables above are far smaller.
    if (filter->count == ROOM)
        abort();
    filter->instructions[filter->count++] = instruction;
}

static void load(host_filter *filter, size_t offset) {
    add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void give(host_filter *filter, uint32_t answer) {
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer));
}

static void refuse(host_filter *filter, int error) {
    give(filter, SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA));
}

/// Goes on with the next instruction if what is loaded is that value, and otherwise with the one behind so many.
static void only_if(host_filter *filter, uint32_t value, uint8_t length) {
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, length));
}

/// The same, of what goes up to where it is ended: `end_of(filter, only_within(filter, value))` does nothing.
static size_t only_within(host_filter *filter, uint32_t value) {
    only_if(filter, value, 0);
    return filter->count;
}

static void end_of(host_filter *filter, size_t start) {
    // A jump is of 255 instructions at most.
    if (filter->count - start > UINT8_MAX)
        abort();
    filter->instructions[start - 1].jf = (uint8_t)(filter->count - start);
}

static void load_argument(host_filter *filter, unsigned int argument, bool upper_half) {
    load(filter,
         offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + (upper_half ? sizeof(uint32_t) : 0));
}

static void refuse_call(host_filter *filter, unsigned int number, int error) {
    only_if(filter, number, 1);
    refuse(filter, error);
}

/// Allows a call if an argument, whose lower half is all that the kernel looks at, is one of the values; PROCESS stands
/// for the number of the process.
static const uint32_t PROCESS = UINT32_MAX - 1;

static void allow_call_with(host_filter *filter, unsigned int number, unsigned int argument, const uint32_t *values,
                            size_t count, int error) {
    only_if(filter, number, (uint8_t)(1 + 2 * count + 1));
    load(filter, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
    for (size_t i = 0; i < count; i++) {
        if (values[i] == PROCESS)
            filter->process_places[filter->process_place_count++] = filter->count;
        only_if(filter, values[i], 1);
        give(filter, SECCOMP_RET_ALLOW);
    }
    refuse(filter, error);
}

#pragma mark What is left to a supervisor

static void ask(host_filter *filter) {
    give(filter, SECCOMP_RET_USER_NOTIF);
}

/// Answers, for a call with one of the kept descriptors.
static void give_for_kept(host_filter *filter, const host_filter_options *options, unsigned int argument,
                          uint32_t answer) {
    load_argument(filter, argument, false);
    for (size_t i = 0; i < options->kept_count; i++) {
        only_if(filter, options->kept[i], 1);
        give(filter, answer);
    }
}

static uint32_t answer_of_error(int error) {
    return SECCOMP_RET_ERRNO | (uint32_t)error;
}

/// The kept descriptors are, for as long as the process lives, what they were at its start: with them it sends what and
/// how it likes. So none is closed, not by the execution of a program either, and none is replaced.
static void keep_descriptors(host_filter *filter, const host_filter_options *options) {
    size_t start = only_within(filter, SYS_close);
    give_for_kept(filter, options, 0, answer_of_error(EPERM));
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, start);
#ifdef SYS_dup2
    start = only_within(filter, SYS_dup2);
    give_for_kept(filter, options, 1, answer_of_error(EPERM));
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, start);
#endif
    start = only_within(filter, SYS_dup3);
    give_for_kept(filter, options, 1, answer_of_error(EPERM));
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, start);
    refuse_call(filter, CALL_CLOSE_RANGE, ENOSYS);
    start = only_within(filter, SYS_fcntl);
    load_argument(filter, 1, false);
    size_t setting = only_within(filter, F_SETFD);
    // QEMU takes it for a fault of its own if that fails.
    give_for_kept(filter, options, 0, answer_of_error(0));
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, setting);
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, start);
}

/// Sockets of TCP, UDP and ICMP alone: others are connected by more calls than these.
static void ask_for_sockets(host_filter *filter, const host_filter_options *options) {
    size_t start = only_within(filter, SYS_socket);
    load_argument(filter, 0, false);
    if (options->local_sockets) {
        only_if(filter, AF_UNIX, 1);
        give(filter, SECCOMP_RET_ALLOW);
    }
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0));
    refuse(filter, EAFNOSUPPORT);
    load_argument(filter, 1, false);
    add(filter, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK)));
    static const struct {
        uint32_t type;
        uint32_t protocols[4];
    } kinds[] = {{SOCK_STREAM, {0, IPPROTO_TCP, 0, 0}}, {SOCK_DGRAM, {0, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6}}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t kind = only_within(filter, kinds[i].type);
        load_argument(filter, 2, false);
        for (size_t j = 0; j < sizeof kinds[i].protocols / sizeof *kinds[i].protocols; j++) {
            only_if(filter, kinds[i].protocols[j], 1);
            ask(filter);
        }
        refuse(filter, EPROTONOSUPPORT);
        end_of(filter, kind);
    }
    refuse(filter, EPROTONOSUPPORT);
    end_of(filter, start);
}

/// Whatever says where to, in memory: another thread could change it after it was looked at.
static void ask_for_connections(host_filter *filter, const host_filter_options *options) {
    ask_for_sockets(filter, options);
    static const unsigned int calls[] = {SYS_connect, SYS_bind, SYS_sendmmsg};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        only_if(filter, calls[i], 1);
        ask(filter);
    }
    // Without an address it goes where the socket is connected to.
    size_t start = only_within(filter, SYS_sendto);
    load_argument(filter, 4, false);
    only_if(filter, 0, 3);
    load_argument(filter, 4, true);
    only_if(filter, 0, 1);
    give(filter, SECCOMP_RET_ALLOW);
    ask(filter);
    end_of(filter, start);
    if (!options->any_messages) {
        start = only_within(filter, SYS_sendmsg);
        give_for_kept(filter, options, 0, SECCOMP_RET_ALLOW);
        ask(filter);
        end_of(filter, start);
    }
    // A route of the sender's own.
    start = only_within(filter, SYS_setsockopt);
    load_argument(filter, 1, false);
    size_t level = only_within(filter, IPPROTO_IP);
    load_argument(filter, 2, false);
    only_if(filter, IP_OPTIONS, 1);
    refuse(filter, EPERM);
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, level);
    level = only_within(filter, IPPROTO_IPV6);
    load_argument(filter, 2, false);
    only_if(filter, IPV6_RTHDR, 1);
    refuse(filter, EPERM);
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, level);
    give(filter, SECCOMP_RET_ALLOW);
    end_of(filter, start);
}

/// What is opened so is so seldom: the path of each is read.
static void ask_for_openings(host_filter *filter) {
    static const struct {
        unsigned int number, argument;
    } calls[] = {{SYS_openat, 2},
#ifdef SYS_open
                 {SYS_open, 1}
#endif
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        size_t start = only_within(filter, calls[i].number);
        load_argument(filter, calls[i].argument, false);
        add(filter, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_ACCMODE));
        only_if(filter, O_RDWR, 1);
        ask(filter);
        give(filter, SECCOMP_RET_ALLOW);
        end_of(filter, start);
    }
}

#pragma mark The whole of it

host_filter host_filter_make(host_filter_options options) {
    host_filter filter = {.instructions = calloc(ROOM, sizeof(struct sock_filter))};
    if (filter.instructions == NULL)
        return filter;
    load(&filter, offsetof(struct seccomp_data, arch));
    add(&filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    give(&filter, SECCOMP_RET_KILL_PROCESS); // 32-bit calls, whose numbers are others
    load(&filter, offsetof(struct seccomp_data, nr));
    filter.has_listener = options.is_supervised || options.asks_for_openings;
    if (options.is_supervised) {
        // First, since a processor's thread does little else than that call.
        size_t start = only_within(&filter, SYS_ioctl);
        load_argument(&filter, 1, false);
        only_if(&filter, FIOCLEX, 1);
        refuse(&filter, EPERM);
        give(&filter, SECCOMP_RET_ALLOW);
        end_of(&filter, start);
    }
#if defined(__x86_64__)
    add(&filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1));
    give(&filter, SECCOMP_RET_KILL_PROCESS);
#endif
    add(&filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN_CALL, 0, 1));
    refuse(&filter, ENOSYS);
    for (size_t i = 0; i < sizeof unknown_calls / sizeof *unknown_calls; i++)
        refuse_call(&filter, unknown_calls[i], ENOSYS);
    for (size_t i = 0; i < sizeof refused_calls / sizeof *refused_calls; i++)
        refuse_call(&filter, refused_calls[i], EPERM);
    for (size_t i = 0; !options.shared_memory && i < sizeof shared_memory_calls / sizeof *shared_memory_calls; i++)
        refuse_call(&filter, shared_memory_calls[i], EPERM);

    // A thread, not a process.
    only_if(&filter, SYS_clone, 4);
    load(&filter, offsetof(struct seccomp_data, args));
    add(&filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0));
    refuse(&filter, EPERM);
    give(&filter, SECCOMP_RET_ALLOW);

    const uint32_t itself[] = {PROCESS};
    allow_call_with(&filter, SYS_kill, 0, itself, 1, EPERM);
    allow_call_with(&filter, SYS_tgkill, 0, itself, 1, EPERM);
    allow_call_with(&filter, SYS_rt_tgsigqueueinfo, 0, itself, 1, EPERM);
    if (!options.thread_signals)
        refuse_call(&filter, SYS_tkill, EPERM);
    const uint32_t itself_or_zero[] = {PROCESS, 0};
    allow_call_with(&filter, SYS_prlimit64, 0, itself_or_zero, 2, EPERM);
    const uint32_t question_or_standard[] = {UINT32_MAX, 0};
    allow_call_with(&filter, SYS_personality, 0, question_or_standard, 2, EPERM);
    if (options.asks_for_openings)
        ask_for_openings(&filter);
    if (options.is_supervised) {
        keep_descriptors(&filter, &options);
        ask_for_connections(&filter, &options);
    } else {
        uint32_t families[3];
        size_t count = 0;
        if (options.local_sockets)
            families[count++] = AF_UNIX;
        if (options.internet_sockets) {
            families[count++] = AF_INET;
            families[count++] = AF_INET6;
        }
        allow_call_with(&filter, SYS_socket, 0, families, count, EAFNOSUPPORT);
    }
    const uint32_t local[] = {AF_UNIX};
    allow_call_with(&filter, SYS_socketpair, 0, local, 1, EAFNOSUPPORT);
    // The signal at the end of its parent is not its own to turn off.
    only_if(&filter, SYS_prctl, 4);
    load(&filter, offsetof(struct seccomp_data, args));
    only_if(&filter, PR_SET_PDEATHSIG, 1);
    refuse(&filter, EPERM);
    give(&filter, SECCOMP_RET_ALLOW);
    give(&filter, SECCOMP_RET_ALLOW);
    return filter;
}
