// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_SPAWN_H
#define HOST_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Starting a process whose life is tied to this one, without the host program noticing: no signal handler, no fork
// handlers, no change to its threads' masks, descriptors or working folder.

// A child runs on the parent's memory until it executes the program: sanitizers must not account for what it does.
#if defined(__clang__)
#define RUNS_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined"), disable_sanitizer_instrumentation))
#else
#define RUNS_IN_CHILD
#endif

/// What a child does first, with the host program's memory and before it is anything else: only system calls, and none
/// through the C library. 0, or the errno of the step that failed, which is named in *step.
typedef int (*host_child_function)(void *context, const char **step);

typedef struct {
    const char *path;         // absolute
    char *const *arguments;   // the first is the program's name, the last NULL
    char *const *environment; // the last NULL
    const int *descriptors;   // descriptors[i] becomes the child's i; every other one is closed in it
    size_t descriptor_count;
    bool may_gain_privileges;                   // as by a set-user-ID bit; otherwise no_new_privs
    const struct host_confinement *confinement; // NULL for none; not with may_gain_privileges
    int control_group;           // a control group's cgroup.procs, for it to be in from the start; 0 for none
    host_child_function prepare; // called last before the program is executed, in the folder /; NULL for nothing
    void *context;               // of prepare
} host_spawn_plan;

/// Starts the program. The child dies with the thread that calls this (PR_SET_PDEATHSIG is bound to it), so call it
/// from a thread that lives as long as the process. 0, or the errno of the step that failed, which is named in *step.
int host_spawn(const host_spawn_plan *plan, int *pidfd, const char **step);

/// Runs the function in a child that is gone when this returns, and that the host program does not notice; the calling
/// thread waits. What it gives; or the errno of creating the process.
int host_call_in_child(host_child_function function, void *context, const char **step);

/// How a process ended.
typedef struct {
    bool known; // false if the host program's own child handling took the status first
    bool signalled;
    int status; // the exit status, or the signal
} host_exit;

/// Reaps the process behind the pidfd, which is readable: it has ended.
host_exit host_reap(int pidfd);

/// SIGKILL to that very process, never to another that got its number.
void host_kill(int pidfd);

/// Waits until the process has ended, at most that long. True if it has.
bool host_await_exit(int pidfd, int milliseconds);

/// Runs `probe` in a child that shares nothing with the host program and is not noticed by it, and kills it after
/// `milliseconds`; the calling thread waits. True if the probe returned true. `probe` may only make system calls: other
/// threads' locks are held in the child for ever.
bool host_probe_in_child(bool (*probe)(void), int milliseconds);

#endif
