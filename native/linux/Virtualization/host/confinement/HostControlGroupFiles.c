// SPDX-License-Identifier: Apache-2.0
#include "HostControlGroupFiles.h"
#include <dispatch/descriptor.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

// https://docs.kernel.org/admin-guide/cgroup-v2.html; what a delegated group is: https://systemd.io/CGROUP_DELEGATION/

enum {
    LONGEST_FILE = 4096,
    LONGEST_LINE = 2 * PATH_MAX + 1024,
    PERIOD_MICROSECONDS = 100000,
    ATTEMPTS = 16,
};

static const char prefix[] = "applevz-";

static host_group_answer answer(host_group_state state, int error) {
    return (host_group_answer){.state = state, .error = error};
}

static host_group_answer system_refuses(int error) {
    return answer(HOST_GROUP_SYSTEM_REFUSES, error);
}

#pragma mark Files

/// 0 or errno. The text ends with a NUL.
static int read_file(int folder, const char *name, char text[LONGEST_FILE]) {
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno;
    ssize_t length = read(file, text, LONGEST_FILE - 1);
    int error = length < 0 ? errno : 0;
    close(file);
    text[length > 0 ? length : 0] = '\0';
    return error;
}

static int write_file(int folder, const char *name, const char *text) {
    int file = openat(folder, name, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return errno;
    int error = write(file, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : errno;
    close(file);
    return error;
}

/// Whether the list of words, with spaces between them, has the word.
static bool has_word(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *found = list; (found = strstr(found, word)) != NULL; found += length)
        if ((found == list || found[-1] == ' ') && (found[length] == '\0' || strchr(" \n", found[length]) != NULL))
            return true;
    return false;
}

#pragma mark The place

/// What stands in mountinfo for a space, a tab, a line's end and a backslash.
static void undo_octal(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
                     from[3] >= '0' && from[3] <= '7';
        *to = octal ? (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0')) : *from;
        from += octal ? 4 : 1;
    }
    *to = '\0';
}

/// The group of this process, from the root of its namespace.
static bool own_group(char path[PATH_MAX]) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    static const char start[] = "0::";
    char line[LONGEST_LINE];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, start, strlen(start)) == 0) {
            line[strcspn(line, "\n")] = '\0';
            found = snprintf(path, PATH_MAX, "%s", line + strlen(start)) < PATH_MAX;
        }
    if (file != NULL)
        fclose(file);
    return found;
}

/// Where the hierarchy is mounted, and which of its groups is the mount's root.
static bool find_mount(char folder[PATH_MAX], char root[PATH_MAX]) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[LONGEST_LINE];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, " - cgroup2 ") == NULL)
            continue;
        // "36 35 98:0 ROOT FOLDER OPTIONS … - TYPE …"
        char *rest = line, *fields[5];
        for (size_t i = 0; i < 5; i++)
            fields[i] = strsep(&rest, " ");
        if (rest == NULL)
            continue;
        undo_octal(fields[3]);
        undo_octal(fields[4]);
        // Of one that shows more than this process's namespace: what it is in cannot be found there.
        found = strncmp(fields[3], "/..", 3) != 0 && snprintf(root, PATH_MAX, "%s", fields[3]) < PATH_MAX &&
                snprintf(folder, PATH_MAX, "%s", fields[4]) < PATH_MAX;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/// Whether it is the root of the hierarchy, not just of what this process sees of it.
static bool is_whole_root(const char *folder) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/cgroup.type", folder);
    return access(path, F_OK) != 0;
}

/// Root may write everywhere: what was delegated to it says so itself.
static bool is_delegated(const char *folder) {
    char path[PATH_MAX + 32], value[2] = "";
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    if (geteuid() != 0)
        return faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0 &&
               faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
    return (getxattr(folder, "user.delegate", value, 1) == 1 && value[0] == '1') ||
           (getxattr(folder, "trusted.delegate", value, 1) == 1 && value[0] == '1');
}

host_group_answer host_control_group_place(char place[PATH_MAX]) {
    char group[PATH_MAX], folder[PATH_MAX], root[PATH_MAX];
    place[0] = '\0';
    if (!own_group(group) || !find_mount(folder, root))
        return answer(HOST_GROUP_NO_HIERARCHY, 0);
    // A mount of a part of the hierarchy shows what is beneath its root.
    const char *beneath = group;
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(group, root, length) == 0 && (group[length] == '/' || group[length] == '\0'))
        beneath = group + length;
    // "/..", of a process that was moved out of its namespace.
    if (strncmp(beneath, "/..", 3) == 0)
        return answer(HOST_GROUP_NO_HIERARCHY, 0);
    bool is_top = beneath[0] == '\0' || strcmp(beneath, "/") == 0;
    if (snprintf(place, PATH_MAX, "%s%s", folder, is_top ? "" : beneath) >= PATH_MAX)
        return system_refuses(ENAMETOOLONG);
    if (access(place, F_OK) != 0)
        return answer(HOST_GROUP_NO_HIERARCHY, 0);
    if (is_top)
        return answer(is_whole_root(place) ? HOST_GROUP_USABLE : HOST_GROUP_NOT_DELEGATED, 0);
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", place);
    *strrchr(parent, '/') = '\0';
    // All that a namespace shows, as a container's, is its own.
    bool is_whole = strcmp(parent, folder) == 0;
    if (!(is_whole && !is_whole_root(parent)) && !is_delegated(parent))
        return answer(HOST_GROUP_NOT_DELEGATED, 0);
    snprintf(place, PATH_MAX, "%s", parent);
    return answer(HOST_GROUP_USABLE, 0);
}

#pragma mark Its controllers

/// Those that the limits take, up to NULL.
static void controllers_of(host_group_limits limits, const char *controllers[3]) {
    size_t count = 0;
    if (limits.processors > 0)
        controllers[count++] = "cpu";
    if (limits.memory > 0)
        controllers[count++] = "memory";
    controllers[count] = NULL;
}

/// What is to be written to its cgroup.subtree_control; "" for nothing.
static host_group_answer look_at(int place, host_group_limits limits, char wanted[64]) {
    char available[LONGEST_FILE], given[LONGEST_FILE], processes[LONGEST_FILE];
    const char *controllers[3];
    controllers_of(limits, controllers);
    wanted[0] = '\0';
    int error = read_file(place, "cgroup.controllers", available);
    if (error != 0)
        // Of a folder that is no control group, or one of version 1.
        return error == ENOENT ? answer(HOST_GROUP_NO_HIERARCHY, 0) : system_refuses(error);
    if ((error = read_file(place, "cgroup.subtree_control", given)) != 0)
        return system_refuses(error);
    for (size_t i = 0; controllers[i] != NULL; i++) {
        if (!has_word(available, controllers[i]))
            return (host_group_answer){.state = HOST_GROUP_NO_CONTROLLER, .controller = controllers[i]};
        if (!has_word(given, controllers[i]))
            snprintf(wanted + strlen(wanted), 64 - strlen(wanted), "%s+%s", wanted[0] != '\0' ? " " : "",
                     controllers[i]);
    }
    if (wanted[0] == '\0' || faccessat(place, "cgroup.type", F_OK, 0) != 0)
        return answer(HOST_GROUP_USABLE, 0);
    // But for the root, which was just told apart, one that has processes gives its groups nothing.
    error = read_file(place, "cgroup.procs", processes);
    return error != 0             ? system_refuses(error)
           : processes[0] != '\0' ? answer(HOST_GROUP_HAS_PROCESSES, 0)
                                  : answer(HOST_GROUP_USABLE, 0);
}

static int open_place(const char *place) {
    return descriptor_above_standard(open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

host_group_answer host_control_group_check(const char *place, host_group_limits limits) {
    int folder = open_place(place);
    if (folder < 0)
        return system_refuses(errno);
    char wanted[64];
    host_group_answer found = look_at(folder, limits, wanted);
    const char *written = wanted[0] != '\0' ? "cgroup.subtree_control" : "cgroup.procs";
    if (found.state == HOST_GROUP_USABLE &&
        (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) != 0 || faccessat(folder, written, W_OK, AT_EACCESS) != 0))
        found = system_refuses(errno);
    close(folder);
    return found;
}

#pragma mark Making and removing

/// Takes away what is nobody's. One that somebody has just made and not locked yet may go, too: he makes another.
static void remove_leftovers(int place) {
    int listed = dup(place);
    DIR *folder = listed >= 0 ? fdopendir(listed) : NULL;
    if (folder == NULL) {
        if (listed >= 0)
            close(listed);
        return;
    }
    rewinddir(folder); // the position is that of every duplicate
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        int group = openat(place, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (group < 0)
            continue;
        if (flock(group, LOCK_EX | LOCK_NB) == 0)
            unlinkat(place, entry->d_name, AT_REMOVEDIR); // EBUSY while it has processes
        close(group);
    }
    closedir(folder);
}

/// Makes the folder and locks it. 0 or errno; EAGAIN for another name.
static int make_folder(host_control_group *group) {
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return errno;
    snprintf(group->name, sizeof group->name, "%s%016llx", prefix, (unsigned long long)number);
    if (mkdirat(group->place, group->name, 0755) != 0)
        return errno == EEXIST ? EAGAIN : errno;
    int folder = openat(group->place, group->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    group->folder = descriptor_above_standard(folder);
    struct stat opened, named;
    if (group->folder >= 0 && flock(group->folder, LOCK_EX | LOCK_NB) == 0 && fstat(group->folder, &opened) == 0 &&
        fstatat(group->place, group->name, &named, AT_SYMLINK_NOFOLLOW) == 0 && opened.st_ino == named.st_ino)
        return 0;
    // Somebody took it for a leftover.
    if (group->folder >= 0)
        close(group->folder);
    group->folder = -1;
    return EAGAIN;
}

static int set_limits(int folder, host_group_limits limits) {
    char text[64];
    int error = 0;
    if (limits.processors > 0) {
        snprintf(text, sizeof text, "%llu %d", (unsigned long long)(limits.processors * PERIOD_MICROSECONDS),
                 PERIOD_MICROSECONDS);
        error = write_file(folder, "cpu.max", text);
    }
    if (error == 0 && limits.memory > 0) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)limits.memory);
        error = write_file(folder, "memory.max", text);
        // What had no room would go to the host's swap, without a limit. A kernel without it has no such file.
        int swapped = error == 0 ? write_file(folder, "memory.swap.max", "0") : 0;
        error = error != 0 ? error : swapped != ENOENT ? swapped : 0;
    }
    return error;
}

static void close_all(host_control_group *group) {
    int *const descriptors[] = {&group->joined, &group->folder, &group->place};
    for (size_t i = 0; i < 3; i++) {
        if (*descriptors[i] >= 0)
            close(*descriptors[i]);
        *descriptors[i] = -1;
    }
}

host_group_answer host_control_group_make(const char *place, host_group_limits limits, host_control_group *group) {
    *group = (host_control_group){.place = open_place(place), .folder = -1, .joined = -1};
    if (group->place < 0)
        return system_refuses(errno);
    char wanted[64];
    host_group_answer found = look_at(group->place, limits, wanted);
    int error = 0;
    if (found.state == HOST_GROUP_USABLE && wanted[0] != '\0')
        error = write_file(group->place, "cgroup.subtree_control", wanted);
    // Somebody has been put into it meanwhile.
    if (error == EBUSY)
        found = answer(HOST_GROUP_HAS_PROCESSES, 0);
    if (found.state != HOST_GROUP_USABLE || error != 0) {
        close_all(group);
        return found.state != HOST_GROUP_USABLE ? found : system_refuses(error);
    }
    remove_leftovers(group->place);
    error = EAGAIN;
    for (int i = 0; i < ATTEMPTS && error == EAGAIN; i++)
        error = make_folder(group);
    bool made = error == 0;
    if (made)
        error = set_limits(group->folder, limits);
    if (error == 0) {
        int joined = openat(group->folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        group->joined = descriptor_above_standard(joined);
        error = group->joined < 0 ? errno : 0;
    }
    if (error == 0)
        return answer(HOST_GROUP_USABLE, 0);
    if (made)
        host_control_group_remove(group);
    close_all(group);
    return system_refuses(error);
}

bool host_control_group_remove(const host_control_group *group) {
    return unlinkat(group->place, group->name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

uint64_t host_control_group_oom_kills(const host_control_group *group) {
    char text[LONGEST_FILE];
    if (read_file(group->folder, "memory.events", text) != 0)
        return 0;
    static const char word[] = "oom_kill ";
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, word, strlen(word)) == 0)
            return strtoull(line + strlen(word), NULL, 10);
    return 0;
}
