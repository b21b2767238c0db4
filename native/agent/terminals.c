// SPDX-License-Identifier: Apache-2.0
// Pseudo-terminals.

#include "agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FLAGS = O_RDWR | O_NOCTTY | O_CLOEXEC };

bool terminal_resize(int descriptor, uint16_t rows, uint16_t columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(descriptor, TIOCSWINSZ, &size) == 0;
}

/// Opens the side of the agent, and says in which folder the other is. Returns -1 with errno.
static int open_ours(const struct agent *agent, const char **folder) {
    *folder = "/dev/pts";
    int ours = open("/dev/ptmx", OPEN_FLAGS | O_NONBLOCK);
    if (ours >= 0 || !agent->follows_root) {
        return ours;
    }
    // An initial file system seldom has terminals: the agent has some of its own.
    *folder = OWN_FOLDER "/pts";
    ours = open(OWN_FOLDER "/pts/ptmx", OPEN_FLAGS | O_NONBLOCK);
    if (ours < 0 && mkdir(OWN_FOLDER "/pts", 0755) == 0 &&
        mount("devpts", OWN_FOLDER "/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0600,mode=0620") ==
            0) {
        ours = open(OWN_FOLDER "/pts/ptmx", OPEN_FLAGS | O_NONBLOCK);
    }
    return ours;
}

int terminal_open(const struct agent *agent, uint16_t rows, uint16_t columns, int *theirs) {
    const char *folder;
    follow_root(agent);
    int ours = open_ours(agent, &folder);
    if (ours < 0) {
        return -1;
    }
    char name[64];
    int number, unlocked = 0;
    *theirs = -1;
    if (ioctl(ours, TIOCSPTLCK, &unlocked) == 0 && ioctl(ours, TIOCGPTN, &number) == 0 &&
        snprintf(name, sizeof name, "%s/%d", folder, number) < (int)sizeof name &&
        terminal_resize(ours, rows, columns)) {
        *theirs = open(name, OPEN_FLAGS);
    }
    if (*theirs >= 0) {
        return ours;
    }
    int error = errno;
    close(ours);
    errno = error;
    return -1;
}
