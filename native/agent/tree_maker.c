// SPDX-License-Identifier: Apache-2.0
// What a tree's records say is made. Whatever they say, nothing is made, changed or removed outside the root: each path
// is walked one name at a time, and no symbolic link is followed.

#include "agent.h"
#include "tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_descriptor(int *descriptor) {
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

/// Opens the folder of a path below the root. Returns a descriptor, or -1 with errno.
static int open_folder(const struct tree_receiver *receiver, const char *path, size_t length) {
    int folder = openat(receiver->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *end = path + length;
    while (folder >= 0 && path < end) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        size_t name_length = (size_t)((slash ? slash : end) - path);
        char name[256];
        if (name_length >= sizeof name) {
            close(folder);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, name_length);
        name[name_length] = '\0';
        int next = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        close(folder);
        errno = error;
        folder = next;
        path += name_length + (slash != NULL);
    }
    return folder;
}

/// Whether a path is below the root, whatever is there.
static bool path_is_right(const char *path) {
    while (true) {
        size_t length = strcspn(path, "/");
        if (length == 0 || (length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.')) {
            return false;
        }
        if (path[length] == '\0') {
            return true;
        }
        path += length + 1;
    }
}

/// The folder in which a path's last name is, as long as no other path is asked for. Returns -1 with errno.
static int parent_of(struct tree_receiver *receiver, const char *path, const char **name) {
    if (!path_is_right(path)) {
        errno = EINVAL;
        return -1;
    }
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (receiver->parent < 0 || strlen(receiver->parent_path) != length ||
        memcmp(receiver->parent_path, path, length) != 0) {
        close_descriptor(&receiver->parent);
        receiver->parent = open_folder(receiver, path, length);
        memcpy(receiver->parent_path, path, length);
        receiver->parent_path[length] = '\0';
    }
    return receiver->parent;
}

/// Sets what a record says of a file that is open.
static int set_attributes(const struct tree_receiver *receiver, int descriptor, const struct entry *entry) {
    if (receiver->sets_owners && fchown(descriptor, entry->user, entry->group) != 0) {
        return errno;
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->modified};
    // The mode after the owner, whose change takes some of it away.
    if (fchmod(descriptor, entry->mode & 07777) != 0 || futimens(descriptor, times) != 0) {
        return errno;
    }
    return 0;
}

/// Sets what a record says of something that is not opened.
static int set_attributes_at(const struct tree_receiver *receiver, int folder, const char *name,
                             const struct entry *entry) {
    if (receiver->sets_owners && fchownat(folder, name, entry->user, entry->group, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno;
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->modified};
    return utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

/// Where a record's name is: the root's own name for the one with no path.
static int place_of(struct tree_receiver *receiver, const struct entry *entry, const char **name) {
    if (entry->path[0] != '\0') {
        return parent_of(receiver, entry->path, name);
    }
    *name = receiver->root_path;
    return AT_FDCWD;
}

static int remember_folder(struct tree_receiver *receiver, const struct entry *entry) {
    size_t length = strlen(entry->path), size = sizeof(struct folder) + length + 1;
    struct folder *folder = size <= MOST_OF_FOLDERS - receiver->folders_size ? malloc(size) : NULL;
    if (folder == NULL) {
        return ENOMEM;
    }
    receiver->folders_size += size;
    *folder = (struct folder){receiver->folders, entry->mode, entry->user, entry->group, entry->modified};
    memcpy(folder->path, entry->path, length + 1);
    receiver->folders = folder;
    return 0;
}

/// Makes a folder, for us alone until its mode is set. One that is there is kept; anything else is removed.
static int make_folder_at(int place, const char *name, bool root) {
    if (mkdirat(place, name, 0700) == 0) {
        return 0;
    }
    struct stat status;
    if (errno != EEXIST || fstatat(place, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno;
    }
    // The root may be a link to the folder that is meant.
    if (root || S_ISDIR(status.st_mode)) {
        return 0;
    }
    return unlinkat(place, name, 0) == 0 && mkdirat(place, name, 0700) == 0 ? 0 : errno;
}

static int make_folder(struct tree_receiver *receiver, const struct entry *entry) {
    const char *name;
    int place = place_of(receiver, entry, &name);
    if (place == -1) {
        return errno;
    }
    bool root = entry->path[0] == '\0';
    int error = make_folder_at(place, name, root);
    if (error != 0) {
        return error;
    }
    int folder = openat(place, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (root ? 0 : O_NOFOLLOW));
    if (folder < 0) {
        return errno;
    }
    if (root && receiver->root < 0) {
        receiver->root = folder;
    } else {
        close(folder);
    }
    return remember_folder(receiver, entry);
}

/// Makes something that must not be there, after it was removed where it is.
#define REPLACING(result, place, name, make)                                                                           \
    do {                                                                                                               \
        (result) = (make);                                                                                             \
        if ((result) < 0 && errno == EEXIST && unlinkat(place, name, 0) == 0) {                                        \
            (result) = (make);                                                                                         \
        }                                                                                                              \
    } while (0)

static int make_file(struct tree_receiver *receiver, const struct entry *entry) {
    const char *name;
    int place = place_of(receiver, entry, &name);
    if (place == -1) {
        return errno;
    }
    // Never written into one that is there: it may have other names.
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    REPLACING(receiver->file, place, name, openat(place, name, flags, 0600));
    if (receiver->file < 0) {
        return errno;
    }
    receiver->extents_end = receiver->extent_left = 0;
    return 0;
}

int tree_finish_file(struct tree_receiver *receiver) {
    const struct entry *entry = &receiver->entry;
    int error = 0;
    if (receiver->extents_end < entry->size && ftruncate(receiver->file, (off_t)entry->size) != 0) {
        error = errno;
    }
    if (error == 0) {
        error = set_attributes(receiver, receiver->file, entry);
    }
    if (close(receiver->file) != 0 && error == 0 && errno != EINTR) {
        error = errno;
    }
    receiver->file = -1;
    return error;
}

static int make_link(struct tree_receiver *receiver, const struct entry *entry) {
    const char *name;
    int place = place_of(receiver, entry, &name), made;
    if (place == -1) {
        return errno;
    }
    REPLACING(made, place, name, symlinkat(entry->target, place, name));
    return made == 0 ? set_attributes_at(receiver, place, name, entry) : errno;
}

static int make_hard_link(struct tree_receiver *receiver, const struct entry *entry) {
    const char *name, *first_name;
    if (receiver->root < 0) {
        return EINVAL;
    }
    int first = parent_of(receiver, entry->target, &first_name);
    // The folder is kept, for the other path may have another.
    first = first >= 0 ? fcntl(first, F_DUPFD_CLOEXEC, 3) : -1;
    if (first < 0) {
        return errno;
    }
    int place = parent_of(receiver, entry->path, &name), made = -1;
    if (place >= 0) {
        REPLACING(made, place, name, linkat(first, first_name, place, name, 0));
    }
    int error = made == 0 ? 0 : errno;
    close(first);
    return error;
}

static int make_fifo(struct tree_receiver *receiver, const struct entry *entry) {
    const char *name;
    int place = place_of(receiver, entry, &name), made;
    if (place == -1) {
        return errno;
    }
    REPLACING(made, place, name, mkfifoat(place, name, entry->mode & 07777));
    return made == 0 ? set_attributes_at(receiver, place, name, entry) : errno;
}

int tree_make_entry(struct tree_receiver *receiver) {
    struct entry *entry = &receiver->entry;
    // All but the root are in a root that is a folder.
    if ((receiver->root < 0) != (entry->path[0] == '\0')) {
        return EINVAL;
    }
    switch (entry->type) {
    case 'd':
        return make_folder(receiver, entry);
    case 'f': {
        int error = make_file(receiver, entry);
        return error == 0 && entry->size == 0 ? tree_finish_file(receiver) : error;
    }
    case 'l':
        return make_link(receiver, entry);
    case 'h':
        return make_hard_link(receiver, entry);
    case 'p':
        return make_fifo(receiver, entry);
    default:
        return EPROTO;
    }
}

int tree_finish_folders(struct tree_receiver *receiver, const char **path) {
    while (receiver->folders != NULL) {
        struct folder *folder = receiver->folders;
        struct entry entry = {.mode = folder->mode, .user = folder->user, .group = folder->group};
        entry.modified = folder->modified;
        int descriptor = open_folder(receiver, folder->path, strlen(folder->path));
        int error = descriptor >= 0 ? set_attributes(receiver, descriptor, &entry) : errno;
        close_descriptor(&descriptor);
        if (error != 0) {
            *path = folder->path;
            return error;
        }
        receiver->folders = folder->next;
        free(folder);
    }
    return 0;
}
