// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_CONFINEMENT_H
#define HOST_CONFINEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// What a program that may have been taken over can do: the kernel's means that need no right, no folder and no other
// process. Landlock says which files it opens; a filter, which system calls it makes.

/// The kernel's Landlock: 0 without it, otherwise the version of its interface.
int host_landlock_version(void);

/// Why there is none: ENOSYS for a kernel that was built without it, EOPNOTSUPP for one that was started without it.
int host_landlock_error(void);

/// A set of rules for a program that opens nothing, but for what is added. With `sockets` it connects and binds where
/// it likes. A descriptor, or -1 with errno.
int host_landlock_rules(bool sockets);

typedef enum {
    HOST_READ = 1,    // files, and what is in folders
    HOST_WRITE = 2,   // files that are there
    HOST_EXECUTE = 4, // by execve
    HOST_CONTROL = 8, // devices, by ioctl
} host_access;

/// Allows it for what a descriptor is open for, and for all beneath that. 0, or an errno.
int host_landlock_allow(int rules, int descriptor, host_access access);

/// The same of what is at a path. What is not there needs no rule: 0.
int host_landlock_allow_path(int rules, const char *path, host_access access);

struct sock_filter;

typedef struct {
    struct sock_filter *instructions;
    size_t count;
    size_t process_places[4]; // instructions that the number of the process goes into
    size_t process_place_count;
    bool has_listener;
} host_filter;

typedef struct {
    bool internet_sockets; // of the families AF_INET and AF_INET6
    bool local_sockets;    // AF_UNIX
    bool is_supervised; // making those of the Internet's, and connecting, binding and sending any (HostSupervision.h)
    bool asks_for_openings;   // of files, for reading and writing at once
    bool any_messages;        // but for what is sent by sendmsg
    const unsigned int *kept; // numbers of sockets that it has from the start, and sends by what it likes
    size_t kept_count;
    bool shared_memory;  // System V's, by which ALSA mixes what programs play
    bool thread_signals; // by tkill: only where Landlock keeps them from other processes
} host_filter_options;

/// A filter of system calls that refuses what no machine's program needs: to make processes, to signal, trace or read
/// others, to change the owners, modes, names and times of files, to mount, to get rights, to load programs into the
/// kernel, and interfaces of the kernel that are seldom used. The instructions are the caller's to free; NULL without
/// memory.
host_filter host_filter_make(host_filter_options options);

/// What a child does to itself before it executes its program.
struct host_confinement {
    int rules;                  // of Landlock; -1 for none
    const host_filter *filter;  // NULL for none
    uint64_t kept_capabilities; // all others go
    unsigned long descriptors;  // that it may have open
    int listener_socket;        // for a filter with a listener: the kept socket in the child that it is sent by
    uid_t user;                 // that it becomes, and the group of that number; 0 for who it is
    gid_t group;                // beside that; 0 for none
};

#endif
