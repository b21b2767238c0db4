// SPDX-License-Identifier: Apache-2.0
#include "HostShareMounts.h"
#include "HostSpawn.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Linux 5.2 and 5.12; the C library's headers have them under names that differ between its versions.
enum {
    NR_OPEN_TREE = 428,
    NR_MOVE_MOUNT = 429,
    NR_MOUNT_SETATTR = 442,
    TREE_CLONE = 1,
    TREE_RECURSIVE = 0x8000,
    MOVE_FROM_DESCRIPTOR = 0x4,
    ATTRIBUTE_READ_ONLY = 0x1,
    ATTRIBUTE_NO_DEVICES = 0x4,
};

typedef struct {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t user_namespace;
} mount_attributes;

static const char base[] = "/proc/driver";
static const char root_folder[] = HOST_SHARE_ROOT;
static const char names_folder[] = "/proc/driver/names";

RUNS_IN_CHILD static int write_file(const char *path, const char *text) {
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    long file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (file < 0)
        return errno;
    int error = syscall(SYS_write, file, text, length) == (long)length ? 0 : errno;
    syscall(SYS_close, file);
    return error;
}

/// A mount of the directory that is in no namespace yet, with everything that is mounted below it.
RUNS_IN_CHILD static int clone_tree(const char *path, bool recursive, bool read_only, int *tree) {
    int flags = TREE_CLONE | O_CLOEXEC | (recursive ? TREE_RECURSIVE : 0);
    *tree = (int)syscall(NR_OPEN_TREE, AT_FDCWD, path, flags);
    if (*tree < 0)
        return errno;
    // What is mounted below it on the host later is not to appear in it: it would not be read-only.
    const mount_attributes attributes = {
        .set = ATTRIBUTE_NO_DEVICES | (read_only ? ATTRIBUTE_READ_ONLY : 0),
        .propagation = MS_PRIVATE,
    };
    // As a folder: also that it is one, and can be entered.
    long folder = syscall(SYS_openat, *tree, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (folder < 0)
        return errno;
    syscall(SYS_close, folder);
    flags = AT_EMPTY_PATH | (recursive ? TREE_RECURSIVE : 0);
    return syscall(NR_MOUNT_SETATTR, *tree, "", flags, &attributes, sizeof attributes) == 0 ? 0 : errno;
}

/// Whether that is the directory that was found at the path before.
RUNS_IN_CHILD static bool is_directory(int descriptor, const host_shared_directory *directory) {
    struct statx status;
    return syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_INO, &status) == 0 &&
           status.stx_dev_major == directory->device_major && status.stx_dev_minor == directory->device_minor &&
           status.stx_ino == directory->inode;
}

RUNS_IN_CHILD static int open_directories(host_shared_directory *directories, size_t count, size_t *failed,
                                          const char **step) {
    *step = "opening the directory";
    for (*failed = 0; *failed < count; ++*failed) {
        host_shared_directory *directory = &directories[*failed];
        int error = clone_tree(directory->path, true, directory->read_only, &directory->tree);
        if (error != 0)
            return error;
        *step = "opening the directory, which was moved meanwhile";
        if (!is_directory(directory->tree, directory))
            return ESTALE;
        *step = "opening the directory";
    }
    return 0;
}

/// Mounts the directories that have names, below `root`. `names` is the same folder, in which folders can be made.
RUNS_IN_CHILD static int mount_directories(long names, long root, host_shared_directory *directories, size_t count,
                                           size_t *failed, const char **step) {
    *step = "mounting the directory";
    for (*failed = 0; *failed < count; ++*failed) {
        const host_shared_directory *directory = &directories[*failed];
        if (directory->tree < 0)
            continue;
        if (syscall(SYS_mkdirat, names, directory->name, 0755) != 0)
            return errno;
        if (syscall(NR_MOVE_MOUNT, directory->tree, "", root, directory->name, MOVE_FROM_DESCRIPTOR) != 0)
            return errno;
        syscall(SYS_close, directory->tree);
    }
    return 0;
}

/// virtiofsd leaves its supplementary groups, which a user namespace without privilege does not let it do, and ends
/// where it cannot. Here they are those of the user for whom it acts, and stay: it is told that it left them.
RUNS_IN_CHILD static int keep_groups(void) {
#if defined(__x86_64__)
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof instructions / sizeof *instructions, .filter = instructions};
    return syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0 ? 0 : errno;
#else
    return 0;
#endif
}

RUNS_IN_CHILD static int enter_namespace(host_share_mounts *mounts, const char **step) {
    *step = "making a mount namespace";
    if (syscall(SYS_unshare, CLONE_NEWNS) != 0) {
        if (errno != EPERM)
            return errno;
        *step = "making a user namespace";
        if (syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS) != 0)
            return errno;
        mounts->has_user_namespace = true;
        int error = write_file("/proc/self/setgroups", "deny");
        if (error == 0)
            error = write_file("/proc/self/uid_map", mounts->user_map);
        if (error == 0)
            error = write_file("/proc/self/gid_map", mounts->group_map);
        if (error == 0)
            error = keep_groups();
        if (error != 0)
            return error;
    }
    *step = "separating the mount namespace";
    // What the host unmounts is unmounted here too, and kept by nobody; nothing goes the other way.
    return syscall(SYS_mount, "", "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 ? 0 : errno;
}

/// Each file that the guest knows is a descriptor of the serving process.
RUNS_IN_CHILD static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0)
        return;
    const struct rlimit wanted = {.rlim_cur = 1000000, .rlim_max = 1000000};
    if (limit.rlim_max < wanted.rlim_max && syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &wanted, NULL) == 0)
        return;
    limit.rlim_cur = limit.rlim_max < wanted.rlim_max ? limit.rlim_max : wanted.rlim_cur;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

RUNS_IN_CHILD int host_make_share_mounts(void *context, const char **step) {
    host_share_mounts *mounts = context;
    mounts->failed = mounts->directory_count;
    raise_descriptor_limit();
    syscall(SYS_umask, 022);
    int error = enter_namespace(mounts, step);
    // Before anything here is hidden by a mount.
    if (error == 0)
        error = open_directories(mounts->directories, mounts->directory_count, &mounts->failed, step);
    if (error != 0)
        return error;
    *step = "mounting a file system in memory";
    if (syscall(SYS_mount, "applevz", base, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k") != 0 ||
        syscall(SYS_mkdirat, AT_FDCWD, names_folder, 0755) != 0 ||
        syscall(SYS_mkdirat, AT_FDCWD, root_folder, 0755) != 0)
        return errno;
    bool is_single = mounts->directory_count == 1 && mounts->directories[0].name == NULL;
    int root = -1;
    if (is_single)
        root = mounts->directories[0].tree;
    else
        error = clone_tree(names_folder, false, true, &root);
    if (error != 0)
        return error;
    if (syscall(NR_MOVE_MOUNT, root, "", AT_FDCWD, root_folder, MOVE_FROM_DESCRIPTOR) != 0)
        return errno;
    syscall(SYS_close, root);
    if (is_single)
        return 0;
    long names = syscall(SYS_openat, AT_FDCWD, names_folder, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    long served = syscall(SYS_openat, AT_FDCWD, root_folder, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (names < 0 || served < 0)
        return errno;
    error = mount_directories(names, served, mounts->directories, mounts->directory_count, &mounts->failed, step);
    syscall(SYS_close, names);
    syscall(SYS_close, served);
    return error;
}

/// The folder of the names, writable, from what is served: a mount of its own of the same folder, which nobody else
/// sees. Not by its path, which in a process whose root is another one (chroot) is not that of the namespace.
RUNS_IN_CHILD static int open_names(long root, int *names) {
    *names = (int)syscall(NR_OPEN_TREE, root, "", AT_EMPTY_PATH | TREE_CLONE | O_CLOEXEC);
    const mount_attributes attributes = {.clear = ATTRIBUTE_READ_ONLY};
    if (*names < 0 || syscall(NR_MOUNT_SETATTR, *names, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
        return errno;
    return 0;
}

/// Opens the directories that are added, and the root of the serving process, which is what it serves.
RUNS_IN_CHILD static int open_for_change(host_share_change *change, long *root, const char **step) {
    int error = open_directories(change->directories, change->directory_count, &change->failed, step);
    if (error != 0)
        return error;
    *step = "looking at what is served";
    *root = syscall(SYS_openat, AT_FDCWD, change->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    return *root < 0 ? errno : 0;
}

/// What is served already: by what it is, since another one may have got its path. It has no tree afterwards.
RUNS_IN_CHILD static int keep_those_that_stay(host_share_change *change, long root, const char **step) {
    *step = "looking at what is served";
    for (change->failed = 0; change->failed < change->directory_count; ++change->failed) {
        host_shared_directory *directory = &change->directories[change->failed];
        if (!directory->may_stay)
            continue;
        const char *name = directory->name != NULL ? directory->name : ".";
        long served = syscall(SYS_openat, root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
        if (served < 0)
            return errno;
        bool stays = is_directory((int)served, directory);
        syscall(SYS_close, served);
        if (!stays && directory->name == NULL)
            return ESTALE;
        if (!stays)
            continue;
        syscall(SYS_close, directory->tree);
        directory->tree = -1;
    }
    return 0;
}

/// Of the folder that is the current one. What the host has unmounted is no mount any more.
RUNS_IN_CHILD static int take_away(int names, const char *name) {
    if (syscall(SYS_umount2, name, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL)
        return errno;
    return syscall(SYS_unlinkat, names, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

RUNS_IN_CHILD int host_change_share_mounts(void *context, const char **step) {
    host_share_change *change = context;
    change->failed = change->directory_count;
    long root = -1;
    syscall(SYS_umask, 022);
    // A process with privilege opens by the paths that it knows itself: in the namespace its root is another one. One
    // without may look at the other process, and clone mounts, only from there.
    int error = change->has_user_namespace ? 0 : open_for_change(change, &root, step);
    if (error != 0)
        return error;
    *step = "entering the mount namespace";
    int flags = CLONE_NEWNS | (change->has_user_namespace ? CLONE_NEWUSER : 0);
    if (syscall(SYS_setns, change->process, flags) != 0)
        return errno;
    if (change->has_user_namespace)
        error = open_for_change(change, &root, step);
    if (error != 0)
        return error;
    error = keep_those_that_stay(change, root, step);
    if (error != 0)
        return error;
    *step = "taking directories away";
    if (syscall(SYS_fchdir, root) != 0)
        return errno;
    int names = -1;
    error = open_names(root, &names);
    for (size_t i = 0; error == 0 && i < change->removed_count; i++)
        error = take_away(names, change->removed_names[i]);
    for (size_t i = 0; error == 0 && i < change->directory_count; i++)
        if (change->directories[i].may_stay && change->directories[i].tree >= 0)
            error = take_away(names, change->directories[i].name);
    if (error != 0)
        return error;
    return mount_directories(names, root, change->directories, change->directory_count, &change->failed, step);
}

host_user_maps host_maps_of_user(void) {
    host_user_maps maps;
    snprintf(maps.user, sizeof maps.user, "0 %u 1", (unsigned)geteuid());
    snprintf(maps.group, sizeof maps.group, "0 %u 1", (unsigned)getegid());
    return maps;
}
