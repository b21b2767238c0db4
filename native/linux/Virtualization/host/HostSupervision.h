// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_SUPERVISION_H
#define HOST_SUPERVISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// System calls of a program that its filter leaves to another process (seccomp_unotify(2)): the thread that made one
// waits until it is answered. Whoever answers makes the call itself, with a copy of what it looked at: nothing that the
// program does meanwhile changes what was allowed.

typedef struct {
    uint64_t identifier;
    pid_t thread; // that made it
    int number;   // SYS_…
    uint64_t arguments[6];
} host_call;

/// Why this host has nothing of the kind: 0, or the errno of the step that failed, which is named in *step. Tries it,
/// with a child that is gone when this returns, until it has succeeded once.
int host_supervision_error(const char **step);

/// Takes the next call. 0, or an errno: ENOENT for one whose thread is gone.
int host_call_receive(int listener, host_call *call);

/// Copies memory of the program. False where it has none there.
bool host_call_read(const host_call *call, uint64_t address, void *buffer, size_t length);
bool host_call_write(const host_call *call, uint64_t address, const void *buffer, size_t length);

/// Whether the thread still waits: only then was what has been read its program's.
bool host_call_waits(int listener, const host_call *call);

/// A duplicate of a descriptor of the program behind the pidfd; -1 with errno.
int host_call_descriptor(int pidfd, int number);

/// How many descriptors the program has open; -1 where that is not known.
long host_call_descriptor_count(const host_call *call);

/// Ends the call: with a value, or with an errno.
void host_call_answer(int listener, const host_call *call, int64_t value, int error);

/// Has the kernel carry it out: only for a call whose arguments lie in no memory, or that the program may make whatever
/// they say.
void host_call_allow(int listener, const host_call *call);

/// Ends the call with a descriptor of this process's, which the program has from then on.
void host_call_give(int listener, const host_call *call, int descriptor);

/// Takes the listener that a child has sent, as host_child_become does; -1 with errno.
int host_listener_take(int socket);

#endif
