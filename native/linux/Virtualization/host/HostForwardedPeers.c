// SPDX-License-Identifier: Apache-2.0
#include "HostForwardedPeers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// include/net/tcp_states.h
enum { TCP_LISTEN_STATE = 10 };

bool host_parse_tcp_line(const char *text, host_tcp_line *line) {
    unsigned local, remote, user;
    // "sl: local remote state tx:rx timer:when retransmissions user timeouts inode …", addresses as the number in
    // memory.
    if (sscanf(text, " %*u: %8x:%4x %8x:%4x %2x %*x:%*x %*x:%*x %*x %u %*u %lu", &local, &line->local_port, &remote,
               &line->remote_port, &line->state, &user, &line->inode) != 7)
        return false;
    line->local = local;
    line->remote = remote;
    line->user = user;
    return true;
}

static bool is_at(struct sockaddr_in address, in_addr_t number, unsigned port) {
    return address.sin_addr.s_addr == number && ntohs(address.sin_port) == port;
}

int host_find_forwarded_peers(struct sockaddr_in forwarded, struct sockaddr_in ours, host_forwarded_peers *peers) {
    *peers = (host_forwarded_peers){.accepting = (uid_t)-1, .stranger = (uid_t)-1};
    FILE *file = fopen("/proc/net/tcp", "re");
    if (file == NULL)
        return errno;
    char text[256];
    while (fgets(text, sizeof text, file) != NULL) {
        host_tcp_line line;
        if (!host_parse_tcp_line(text, &line) || line.state == TCP_LISTEN_STATE)
            continue;
        // Each connection is there twice: as whoever accepts it has it, and as whoever made it has it.
        if (is_at(forwarded, line.local, line.local_port) && line.inode != 0) {
            if (is_at(ours, line.remote, line.remote_port)) {
                peers->has_ours = true;
                peers->accepting = line.user;
            } else {
                peers->strangers++;
            }
        } else if (is_at(forwarded, line.remote, line.remote_port) && !is_at(ours, line.local, line.local_port)) {
            peers->stranger = line.user;
        }
    }
    int failure = ferror(file) ? EIO : 0;
    fclose(file);
    return failure;
}
