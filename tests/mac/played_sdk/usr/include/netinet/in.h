// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdint.h>
#include <sys/socket.h>

typedef uint32_t in_addr_t;
typedef uint16_t in_port_t;

struct in_addr {
    in_addr_t s_addr;
};

struct sockaddr_in {
    uint8_t sin_len;
    sa_family_t sin_family;
    in_port_t sin_port;
    struct in_addr sin_addr;
    char sin_zero[8];
};

#define INET_ADDRSTRLEN 16
#define htons(number) ((uint16_t)__builtin_bswap16(number))
#define ntohs(number) ((uint16_t)__builtin_bswap16(number))
