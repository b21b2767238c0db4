// SPDX-License-Identifier: Apache-2.0
#include "HostUser.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ATTEMPTS = 64 };

typedef struct {
    uint32_t first, count;
} range;

// The first is nobody's by the usage of systemd (UIDS-GIDS.md), and far above what subuid(5) gives out: of so many two
// machines never have the same. A container often has no more than 65,536 users; of those systemd takes the second
// range for services that want a user while they run, which is what this is.
static const range ranges[] = {{0x70000000, 0x0ffe0000}, {61184, 4336}};

/// Whether a user namespace has all of them.
static bool is_mapped(const char *map, range wanted) {
    FILE *file = fopen(map, "re");
    if (file == NULL)
        return errno == ENOENT; // a kernel without user namespaces
    unsigned long first, outside, count;
    bool found = false;
    while (!found && fscanf(file, "%lu %lu %lu", &first, &outside, &count) == 3)
        found = first <= wanted.first && wanted.first + (unsigned long)wanted.count <= first + count;
    fclose(file);
    return found;
}

static const range *usable_range(void) {
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (is_mapped("/proc/self/uid_map", ranges[i]) && is_mapped("/proc/self/gid_map", ranges[i]))
            return &ranges[i];
    return NULL;
}

static uint64_t effective_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[2] = {0};
    syscall(SYS_capget, &header, has);
    return has[0].effective | (uint64_t)has[1].effective << 32;
}

int host_user_error(bool looks_into, const char **step) {
    static const struct {
        int capability;
        const char *step;
    } needed[] = {
        {CAP_SETUID, "CAP_SETUID"},
        {CAP_SETGID, "CAP_SETGID"},
        {CAP_KILL, "CAP_KILL"},
        {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
    };
    *step = "this user is not root";
    if (geteuid() != 0)
        return EPERM;
    uint64_t has = effective_capabilities();
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        *step = needed[i].step;
        if ((has >> needed[i].capability & 1) == 0 && (looks_into || needed[i].capability != CAP_SYS_PTRACE))
            return EPERM;
    }
    *step = "its user namespace has no more users";
    return usable_range() != NULL ? 0 : EUSERS;
}

uid_t host_user_choose(void) {
    const range *usable = usable_range();
    errno = EUSERS;
    for (int i = 0; usable != NULL && i < ATTEMPTS; i++) {
        uint32_t random = 0;
        while (getrandom(&random, sizeof random, 0) < 0)
            if (errno != EINTR)
                return 0;
        uid_t user = usable->first + random % usable->count;
        // The kernel's table of users is asked first: that nobody is one of them takes no walk through all processes.
        errno = 0;
        if (getpriority(PRIO_USER, user) == -1 && errno == ESRCH)
            return user;
        errno = EUSERS;
    }
    return 0;
}

/// Without named entries an access control list says of all others what the mode does.
bool host_user_reaches(const char *path, bool executes) {
    char part[PATH_MAX];
    struct stat status;
    size_t length = strlen(path);
    if (path[0] != '/' || length >= sizeof part)
        return false;
    memcpy(part, path, length + 1);
    for (size_t i = 0; i < length; i++) {
        if (part[i] != '/')
            continue;
        char kept = part[i + 1];
        part[i + 1] = '\0';
        bool passes = stat(part, &status) == 0 && (status.st_mode & S_IXOTH) != 0;
        part[i + 1] = kept;
        if (!passes)
            return false;
    }
    if (stat(part, &status) != 0)
        return false;
    bool is_folder = S_ISDIR(status.st_mode);
    return (status.st_mode & (executes || is_folder ? S_IXOTH : S_IROTH)) != 0;
}
