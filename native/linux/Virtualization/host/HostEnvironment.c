// SPDX-License-Identifier: Apache-2.0
#include "HostEnvironment.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

// Each is a whole name with its sign, or the begin of names.
static const char *const handed_on[] = {
    "PATH=",  "HOME=",     "LANG=", "LANGUAGE=",     "LC_", "TZ=", "TMPDIR=", "LD_LIBRARY_PATH=", "XDG_RUNTIME_DIR=",
    "PULSE_", "PIPEWIRE_", "ALSA_", "APPLEVZ_QEMU_",
};

static bool is_handed_on(const char *variable) {
    for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++)
        if (strncmp(variable, handed_on[i], strlen(handed_on[i])) == 0)
            return true;
    return false;
}

/// Where a QEMU has its modules that was moved as a whole, as a variable that tells it; an empty text for any other.
static void tell_modules(const char *program, char variable[PATH_MAX]) {
    static const char name[] = "QEMU_MODULE_DIR=", folder[] = "/lib/qemu";
    const char *end = strrchr(program, '/');
    struct stat status;
    variable[0] = '\0';
    if (end == NULL || (size_t)(end - program) + sizeof name + sizeof folder > PATH_MAX)
        return;
    snprintf(variable, PATH_MAX, "%s%.*s%s", name, (int)(end - program), program, folder);
    if (stat(variable + sizeof name - 1, &status) != 0 || !S_ISDIR(status.st_mode))
        variable[0] = '\0';
}

char **host_environment_of_child(const char *program, size_t room) {
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    // One block: the list, and behind it the one text that is not the environment's own.
    char **list = calloc(1, (count + 2 + room) * sizeof *list + PATH_MAX);
    if (list == NULL)
        return NULL;
    size_t taken = 0;
    for (size_t i = 0; i < count && environ[i] != NULL; i++)
        if (is_handed_on(environ[i]))
            list[taken++] = environ[i];
    char *modules = (char *)(list + count + 2 + room);
    tell_modules(program, modules);
    if (modules[0] != '\0')
        list[taken] = modules;
    return list;
}
