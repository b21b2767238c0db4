// SPDX-License-Identifier: Apache-2.0
// Addresses of sockets, as frames have them.

#ifndef APPLEVZ_AGENT_ADDRESSES_H
#define APPLEVZ_AGENT_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_un local;
};

/// What a frame names: kind, port, and an address or a path.
struct place {
    int type; // SOCK_STREAM or SOCK_DGRAM
    socklen_t length;
    union address address;
};

/// Reads a place. Returns false where it is none.
bool place_read(struct place *place, const uint8_t *payload, size_t length);
/// A socket for it that does not block, or -1 with errno.
int place_socket(const struct place *place);

#endif
