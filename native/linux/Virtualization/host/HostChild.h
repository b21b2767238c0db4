// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_CHILD_H
#define HOST_CHILD_H

#include "HostSpawn.h"

// What a child does to itself before it is the program, whether it executes that (HostSpawn.c) or is a copy of one that
// has begun already (native/fork_server).

/// Only system calls, and none through the C library. 0, or the errno of the step that failed, which is named in *step.
/// From then on it may do only what its confinement lets the program do.
RUNS_IN_CHILD int host_child_become(const host_spawn_plan *plan, pid_t parent, const char **step);

#endif
