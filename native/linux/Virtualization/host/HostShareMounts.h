// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_SHARE_MOUNTS_H
#define HOST_SHARE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// The file tree that a guest is served: made of mounts in a mount namespace that only the serving process is in, so
// that the host sees none of them and they end with that process. A read-only share is a read-only mount: no message of
// a guest's, and nothing that the serving process could be brought to do, writes there. A path is an argument of system
// calls and of nothing else, and the host's, without links: what it leads to is compared with what the user's led to,
// which is held open meanwhile. (The descriptor itself is of no use: mounts can be made only of what is in the
// process's own mount namespace.)
//
//     /proc/driver         a small file system in memory, over a folder that nothing here needs
//       names/             a folder for each of several directories' names
//       root/              what the guest is served: the one directory; or `names`, read-only, with the mounts
//
// Where the process may not mount, it becomes root of a user namespace of its own, in which it may. The guest's root
// then acts on the host as this user, with its groups; the guest's other users are nobody there, and can make no files.

typedef struct {
    const char *path;                        // absolute
    unsigned int device_major, device_minor; // of what is there
    ino_t inode;
    const char *name; // of the folder in which the guest finds it; NULL where it is all that the guest finds
    bool read_only;
    bool may_stay; // of a change: the guest finds something by that name, as read_only as this is
    int tree;      // used by the functions below
} host_shared_directory;

typedef struct {
    host_shared_directory *directories; // one without a name, or any number with different names
    size_t directory_count;
    // Of a process without privilege: this user and group as the root of a user namespace, "0 1000 1".
    const char *user_map;
    const char *group_map;
    bool has_user_namespace; // set when one was made
    size_t failed;           // set to the index of the directory that failed; directory_count when none did
} host_share_mounts;

/// What the process is to serve. Outside of the namespace there is no such folder: it can serve nothing else by
/// mistake.
#define HOST_SHARE_ROOT "/proc/driver/root"

/// A host_child_function for a process that is to serve the directories. `context` is a host_share_mounts.
int host_make_share_mounts(void *context, const char **step);

typedef struct {
    int process;           // the pidfd of the serving process
    const char *root_path; // /proc/<its number>/root
    bool has_user_namespace;
    const char *const *removed_names;
    size_t removed_count;
    host_shared_directory *directories; // that are served then
    size_t directory_count;
    size_t failed; // as above
} host_share_change;

/// A host_child_function that changes which directories with names a process serves. One that is served already stays
/// as it is, with all that the guest has open there. Where a directory cannot be opened nothing has changed; that
/// without a name cannot be changed: ESTALE if it is another one. `context` is a host_share_change.
int host_change_share_mounts(void *context, const char **step);

/// This user and group, as the root of a user namespace.
typedef struct {
    char user[32];
    char group[32];
} host_user_maps;
host_user_maps host_maps_of_user(void);

#endif
