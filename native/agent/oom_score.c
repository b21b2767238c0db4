// SPDX-License-Identifier: Apache-2.0
// Whom the kernel kills where memory runs out: not the agent before all else, by which a host could see why.

#include "agent.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define PROC OWN_FOLDER "/proc"
#define FILE_NAME "/self/oom_score_adj"

static const char protected[] = "-900";
/// As it was, and as processes get it.
static char given[16];
static size_t given_length;
/// The agent's own file, which stays open: to find it takes a process as long as ten other calls. -1 where there is
/// none.
static int score = -1;
static bool refused;

/// An open file would keep an init from unmounting the /proc of its initial file system: so it is of a mount that
/// nobody else sees.
static int open_score(const struct agent *agent) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (!agent->follows_root || mount("proc", PROC, "proc", flags, NULL) != 0) {
        return open("/proc" FILE_NAME, O_RDWR | O_CLOEXEC);
    }
    int descriptor = open(PROC FILE_NAME, O_RDWR | O_CLOEXEC);
    umount2(PROC, MNT_DETACH);
    return descriptor;
}

void oom_score_protect(const struct agent *agent) {
    if (score >= 0) {
        refused = pwrite(score, protected, sizeof protected - 1, 0) < 0;
    } else if (!refused && (score = open_score(agent)) >= 0) {
        ssize_t length = pread(score, given, sizeof given, 0);
        given_length = length > 0 ? (size_t)length : 0;
        refused = length <= 0 || pwrite(score, protected, sizeof protected - 1, 0) < 0;
    }
    if (refused && score >= 0) {
        // Who may not is as likely as others: so are its processes.
        close(score);
        score = -1;
    }
}

void oom_score_restore(void) {
    if (score >= 0) {
        (void)pwrite(score, given, given_length, 0);
    }
}
