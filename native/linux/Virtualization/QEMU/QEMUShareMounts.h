// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_SHARE_MOUNTS_H
#define QEMU_SHARE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

// The file tree that a guest is served: made of mounts in a mount namespace that only the serving process is in, so that the
// host sees none of them and they end with that process. A read-only share is a read-only mount: no message of a guest's, and
// nothing that the serving process could be brought to do, writes there. A path of the user's is an argument of system calls
// and of nothing else.
//
//     /proc/driver         a small file system in memory, over a folder that nothing here needs
//       names/             a folder for each of several directories' names
//       root/              what the guest is served: the one directory; or `names`, read-only, with the directories mounted
//
// Where the process may not mount, it becomes root of a user namespace of its own, in which it may. The guest's root then acts
// on the host as this user, with its groups; the guest's other users are nobody there, and can make no files.

typedef struct {
    const char *path; // absolute
    const char *name; // of the folder in which the guest finds it; NULL where it is all that the guest finds
    bool read_only;
    int tree;         // used by the functions below
} qemu_shared_directory;

typedef struct {
    qemu_shared_directory *directories; // one without a name, or any number with different names
    size_t directory_count;
    // Of a process without privilege: this user and group as the root of a user namespace, "0 1000 1".
    const char *user_map;
    const char *group_map;
    bool has_user_namespace; // set when one was made
    size_t failed;           // set to the index of the directory that failed; directory_count when none did
} qemu_share_mounts;

/// What the process is to serve. Outside of the namespace there is no such folder: it can serve nothing else by mistake.
#define QEMU_SHARE_ROOT "/proc/driver/root"

/// A qemu_child_function for a process that is to serve the directories. `context` is a qemu_share_mounts.
int qemu_make_share_mounts(void *context, const char **step);

typedef struct {
    int process;           // the pidfd of the serving process
    const char *root_path; // /proc/<its number>/root
    bool has_user_namespace;
    const char *const *removed_names;
    size_t removed_count;
    qemu_shared_directory *directories; // that are added; all with names
    size_t directory_count;
    size_t failed; // as above
} qemu_share_change;

/// A qemu_child_function that changes which directories with names a process serves. Where a directory cannot be opened
/// nothing has changed. `context` is a qemu_share_change.
int qemu_change_share_mounts(void *context, const char **step);

#endif
