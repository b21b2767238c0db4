// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_CONTROL_GROUP_H
#define HOST_CONTROL_GROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

// A control group (cgroup version 2) for the processes of one machine: the kernel holds them to its limits, whatever
// they do. It is made in a folder that was delegated to this process, or that somebody else prepared.
//
// Its owner has a lock on the group's folder. A lock goes with its process, however that ends, and with the group's
// processes, which die with it: so a group without a lock is nobody's, and whoever makes the next one there removes it.

enum { HOST_CONTROL_GROUP_NAME = 32 };

/// 0 for no limit.
typedef struct {
    double processors; // 1.5: as much of their time as one and a half have
    uint64_t memory;   // in bytes; nothing of it is swapped
} host_group_limits;

typedef enum {
    HOST_GROUP_USABLE,
    HOST_GROUP_NO_HIERARCHY,   // no cgroup version 2, or this process is not in it
    HOST_GROUP_NOT_DELEGATED,  // the place is what this process is in, whose parent is not its own
    HOST_GROUP_NO_CONTROLLER,  // the place has not the one that is named
    HOST_GROUP_HAS_PROCESSES,  // the place has processes itself, so that the kernel gives groups in it no controllers
    HOST_GROUP_SYSTEM_REFUSES, // with an errno
} host_group_state;

typedef struct {
    host_group_state state;
    int error;              // an errno, or 0
    const char *controller; // of HOST_GROUP_NO_CONTROLLER
} host_group_answer;

/// Descriptors, -1 for none; all closed by who has them.
typedef struct {
    int place;  // the folder that the group is in
    int folder; // of the group, locked
    int joined; // a process that writes "0" to it is in the group (host_spawn_plan)
    char name[HOST_CONTROL_GROUP_NAME];
} host_control_group;

/// The folder in which this process may make groups: that above its own, where it was delegated to it, or the root of
/// the hierarchy for a process in that. Where there is none, the folder that it is in, if it is in one.
host_group_answer host_control_group_place(char place[PATH_MAX]);

/// Whether groups with limits of that kind can be made there, as far as that can be told without making one.
host_group_answer host_control_group_check(const char *place, host_group_limits limits);

/// Makes one, once what is nobody's there is removed.
host_group_answer host_control_group_make(const char *place, host_group_limits limits, host_control_group *group);

/// Whether it is gone. It is not as long as it has processes.
bool host_control_group_remove(const host_control_group *group);

/// How many of its processes were killed because it had no memory left.
uint64_t host_control_group_oom_kills(const host_control_group *group);

#endif
