// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_ADDRESSES_H
#define HOST_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

// Which of the Internet's addresses lead to this host, by what the kernel would do with a packet at this moment.

typedef union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
} host_address;

/// A socket that the kernel is asked by; -1 with errno.
int host_routes_open(void);

/// 0 for what leads to one other host. EACCES for what leads to this host, or may: loopback, each address of its own,
/// broadcast, multicast, what is no address of anybody's; and for the addresses by which a cloud tells this host what
/// is for this host alone. Another errno where there is no way to it. Of the families AF_INET and AF_INET6, also for an
/// address of the one within the other.
int host_address_error(int routes, const host_address *address);

/// Whether this host asks that address for names: /etc/resolv.conf, as it is at this moment.
bool host_address_is_name_server(const host_address *address);

/// Whether it is one of the loopback interface.
bool host_address_is_loopback(const host_address *address);

#endif
