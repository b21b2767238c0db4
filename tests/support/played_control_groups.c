// SPDX-License-Identifier: Apache-2.0
// Loaded before the C library (LD_PRELOAD): plays the kernel in folders that stand for control groups. A folder that is
// made in one has the files that a kernel gives it, and goes with them, unless it has a file "populated".
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const files[] = {"cgroup.procs", "cpu.max", "memory.max", "memory.swap.max", "memory.events"};
static const char prefix[] = "applevz-";

int mkdirat(int folder, const char *path, mode_t mode) {
    int (*next)(int, const char *, mode_t) = (int (*)(int, const char *, mode_t))dlsym(RTLD_NEXT, "mkdirat");
    int result = next(folder, path, mode);
    if (result != 0 || strncmp(path, prefix, strlen(prefix)) != 0)
        return result;
    int made = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        close(openat(made, files[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    close(made);
    return 0;
}

int unlinkat(int folder, const char *path, int flags) {
    int (*next)(int, const char *, int) = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
    if ((flags & AT_REMOVEDIR) == 0 || strncmp(path, prefix, strlen(prefix)) != 0)
        return next(folder, path, flags);
    int gone = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (gone >= 0 && faccessat(gone, "populated", F_OK, 0) == 0) {
        close(gone);
        errno = EBUSY;
        return -1;
    }
    for (size_t i = 0; gone >= 0 && i < sizeof files / sizeof *files; i++)
        next(gone, files[i], 0);
    if (gone >= 0)
        close(gone);
    return next(folder, path, flags);
}
