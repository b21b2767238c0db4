// SPDX-License-Identifier: Apache-2.0
#include "HostEnvironment.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

char **host_environment_of_child(void) {
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **list = calloc(count + 1, sizeof *list);
    if (list == NULL)
        return NULL;
    size_t taken = 0;
    for (size_t i = 0; i < count && environ[i] != NULL; i++)
        if (is_handed_on(environ[i]))
            list[taken++] = environ[i];
    return list;
}
