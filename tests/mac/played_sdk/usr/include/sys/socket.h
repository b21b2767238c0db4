// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#define AF_UNIX 1
#define AF_INET 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOL_SOCKET 0xffff
#define SO_SNDBUF 0x1001
#define SO_RCVBUF 0x1002
#define SO_ERROR 0x1007
#define SO_TYPE 0x1008
#define SO_NOSIGPIPE 0x1022

typedef uint8_t sa_family_t;
typedef uint32_t socklen_t;

struct sockaddr {
    uint8_t sa_len;
    sa_family_t sa_family;
    char sa_data[14];
};

int connect(int descriptor, const struct sockaddr *address, socklen_t length);
int getsockopt(int descriptor, int level, int option, void *value, socklen_t *length);
int setsockopt(int descriptor, int level, int option, const void *value, socklen_t length);
int socket(int family, int type, int protocol);
int socketpair(int family, int type, int protocol, int descriptors[2]);
