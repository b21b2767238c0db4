// SPDX-License-Identifier: Apache-2.0
// Addresses of sockets, as frames have them.

#include "addresses.h"
#include "agent.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>

enum { TCP = 0, UNIX = 1, UDP = 2 };

/// The address of a port. Names are not looked up: that would hold up all others.
static socklen_t port_address(union address *address, const char *text, uint16_t port) {
    if (*text == '\0' || strcmp(text, "localhost") == 0) {
        text = "127.0.0.1";
    }
    if (inet_pton(AF_INET, text, &address->four.sin_addr) == 1) {
        address->four.sin_family = AF_INET;
        address->four.sin_port = htons(port);
        return sizeof address->four;
    }
    if (inet_pton(AF_INET6, text, &address->six.sin6_addr) == 1) {
        address->six.sin6_family = AF_INET6;
        address->six.sin6_port = htons(port);
        return sizeof address->six;
    }
    return 0;
}

/// A path, or with a NUL before it a name of no file.
static socklen_t unix_address(union address *address, const uint8_t *path, size_t length) {
    if (length == 0 || length >= sizeof address->local.sun_path || memchr(path + 1, 0, length - 1) != NULL) {
        return 0;
    }
    address->local.sun_family = AF_UNIX;
    memcpy(address->local.sun_path, path, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] != 0));
}

bool place_read(struct place *place, const uint8_t *payload, size_t length) {
    *place = (struct place){.type = SOCK_STREAM};
    if (length < 3) {
        return false;
    }
    const uint8_t *rest = payload + 3;
    length -= 3;
    if (payload[0] == UNIX) {
        place->length = unix_address(&place->address, rest, length);
        return place->length > 0;
    }
    char text[INET6_ADDRSTRLEN] = "";
    if ((payload[0] != TCP && payload[0] != UDP) || length >= sizeof text || memchr(rest, 0, length) != NULL) {
        return false;
    }
    memcpy(text, rest, length);
    place->type = payload[0] == TCP ? SOCK_STREAM : SOCK_DGRAM;
    place->length = port_address(&place->address, text, get16(payload + 1));
    return place->length > 0;
}

int place_socket(const struct place *place) {
    int descriptor = socket(place->address.any.sa_family, place->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (descriptor >= 0 && place->address.any.sa_family != AF_UNIX && place->type == SOCK_STREAM) {
        // The host gathers; where this is refused, only time is lost. What is accepted has it from its listener.
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
    return descriptor;
}
