// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_FORK_PROTOCOL_H
#define HOST_FORK_PROTOCOL_H

#include "host/confinement/HostConfinement.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// What this process and a fork server (native/fork_server) say to each other, by a socket that keeps messages apart.
// Both are of one build.
//
//     server: it waits for its first request                        host_fork_answer, HOST_FORK_READY
//     host:   a file in memory that describes the child,            one byte, and the descriptors
//             the child's Landlock rules and control group, if it
//             has them, and its descriptors
//     server: the child is there                                    host_fork_answer, HOST_FORK_MADE, and its pidfd
//     child:  it becomes the program now, or cannot                 host_fork_answer, HOST_FORK_BECOMES
//
// The last two come in any order. The server reads nothing of what describes a child: a later child would have that in
// its memory, and a guest may take it over.

/// The socket's number in the server.
enum { HOST_FORK_SOCKET = 3 };

/// As many as Linux hands over at once (SCM_MAX_FD).
enum { HOST_FORK_MAXIMUM_DESCRIPTORS = 253 };

/// Names the socket's number in the server's environment, without which the library does nothing.
#define HOST_FORK_VARIABLE "APPLEVZ_FORK_SERVER"

typedef enum { HOST_FORK_READY = 1, HOST_FORK_MADE, HOST_FORK_BECOMES } host_fork_answer_kind;

typedef struct {
    uint32_t kind;
    int32_t error; // an errno
} host_fork_answer;

/// How the file begins. Behind it: the filter's instructions, and the texts of the arguments and of the environment,
/// each with its end.
typedef struct {
    uint64_t length; // of the whole file
    pid_t parent;
    uint32_t argument_count, environment_count, descriptor_count;
    bool has_rules, has_control_group, is_confined, has_filter;
    struct host_confinement confinement; // without its pointers and descriptors
    host_filter filter;                  // likewise
} host_fork_request;

#endif
