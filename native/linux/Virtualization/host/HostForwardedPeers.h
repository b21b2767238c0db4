// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_FORWARDED_PEERS_H
#define HOST_FORWARDED_PEERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>

/// Who came to a TCP port of this host, where anybody on it can come.
typedef struct {
    bool has_ours;      // the connection of that socket has been accepted
    uid_t accepting;    // by a process of that user
    unsigned strangers; // other connections that have been accepted
    uid_t stranger;     // who made one of those, as far as that is known: (uid_t)-1 is nobody
} host_forwarded_peers;

/// Looks at all connections from this host to the address (/proc/net/tcp in proc(5)), by the kernel's word, not by that
/// of whoever accepts them. `ours` is the address of the socket that is connected to it. 0 or errno.
int host_find_forwarded_peers(struct sockaddr_in forwarded, struct sockaddr_in ours, host_forwarded_peers *peers);

/// One line of that file.
typedef struct {
    in_addr_t local, remote;
    unsigned local_port, remote_port, state;
    uid_t user;
    unsigned long inode; // 0 while it waits to be accepted
} host_tcp_line;

bool host_parse_tcp_line(const char *text, host_tcp_line *line);

#endif
