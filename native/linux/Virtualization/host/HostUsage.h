// SPDX-License-Identifier: Apache-2.0
// What the host's kernel counts: of a process, and of a network interface.
#ifndef HOST_USAGE_H
#define HOST_USAGE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double processor_seconds; // of all its threads, in user mode and in the kernel, the guest's part included
    uint64_t resident_bytes;  // of its memory, what is in the host's, shared pages too
} host_process_usage;

/// Of a process that was not reaped, by its pidfd (/proc/PID/stat and statm, proc(5)). False where it cannot be told.
bool host_process_usage_of(int pidfd, host_process_usage *usage);

/// What the text of such a stat says: clock ticks in user mode and in the kernel. The name in it is the process's own.
bool host_parse_process_times(const char *text, uint64_t *user, uint64_t *system);

typedef struct {
    uint64_t received_bytes, received_packets, sent_bytes, sent_packets; // as the host receives and sends them
} host_interface_usage;

/// Of an interface of this thread's network namespace (/proc/net/dev). False for one that is not there.
bool host_interface_usage_of(const char *name, host_interface_usage *usage);

/// The same of one line of that file. False where it is not that interface's.
bool host_parse_interface(const char *text, const char *name, host_interface_usage *usage);

#endif
