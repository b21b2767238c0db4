// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_USER_H
#define HOST_USER_H

#include <stdbool.h>
#include <sys/types.h>

// A user for one process alone, for a host program that is root: no file is that user's, and no other process.

/// Why this process can start none as another user, whom it can still end and, if it `looks_into` it, read: 0, or an
/// errno, with what failed in *step.
int host_user_error(bool looks_into, const char **step);

/// A user whom no process has, and whose number no system gives to anybody. The group is that of the same number. 0
/// with errno where there is none.
uid_t host_user_choose(void);

/// Whether somebody without rights, who is neither owner nor in a group, gets to an absolute path and may read, or
/// execute, what is there.
bool host_user_reaches(const char *path, bool executes);

#endif
