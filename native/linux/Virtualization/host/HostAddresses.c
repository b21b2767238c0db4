// SPDX-License-Identifier: Apache-2.0
#include "HostAddresses.h"
#include <arpa/inet.h>
#include <dispatch/descriptor.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_SIZE = 4096,
    // The kernel answers before the question's call returns, but for one that must load a module first.
    ANSWER_MILLISECONDS = 1000,
    NAME_SERVERS_SIZE = 64 * 1024,
};

int host_routes_open(void) {
    int routes = descriptor_above_standard(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (routes < 0 || connect(routes, (struct sockaddr *)&kernel, sizeof kernel) == 0)
        return routes;
    int error = errno;
    close(routes);
    errno = error;
    return -1;
}

#pragma mark What an address says by itself

typedef struct {
    uint32_t network;
    uint32_t mask;
} range_of_four;

static const range_of_four refused_of_four[] = {
    {0x00000000, 0xff000000}, // "this host"; the kernel connects 0.0.0.0 to loopback
    {0x7f000000, 0xff000000}, // loopback
    {0xa9fe0000, 0xffff0000}, // of one link: 169.254.169.254 tells a cloud's machine its passwords
    {0x646464c8, 0xffffffff}, // 100.100.100.200, the same
    {0xa83f8110, 0xffffffff}, // 168.63.129.16, the same
    {0xe0000000, 0xe0000000}, // multicast, which comes back by loopback; reserved; broadcast
};

static bool is_refused_four(uint32_t address) {
    for (size_t i = 0; i < sizeof refused_of_four / sizeof *refused_of_four; i++)
        if ((address & refused_of_four[i].mask) == refused_of_four[i].network)
            return true;
    return false;
}

/// Of a cloud that tells a machine its passwords: fd00:ec2::254.
static const struct in6_addr telling_six = {{{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}}};

static bool is_refused_six(const struct in6_addr *address) {
    return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_LINKLOCAL(address) ||
           IN6_IS_ADDR_MULTICAST(address) || memcmp(address, &telling_six, sizeof telling_six) == 0;
}

/// An address of the older protocol that is meant by one of the newer: mapped, "compatible", translated (RFC 6052), or
/// a tunnel's end (RFC 3056).
static bool has_four(const struct in6_addr *six, uint32_t *four) {
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
    size_t at;
    if (IN6_IS_ADDR_V4MAPPED(six) || memcmp(six, translated, sizeof translated) == 0 ||
        (memcmp(six, &in6addr_any, 12) == 0 && !IN6_IS_ADDR_UNSPECIFIED(six) && !IN6_IS_ADDR_LOOPBACK(six)))
        at = 12;
    else if (six->s6_addr[0] == 0x20 && six->s6_addr[1] == 0x02)
        at = 2;
    else
        return false;
    uint32_t value;
    memcpy(&value, six->s6_addr + at, sizeof value);
    *four = ntohl(value);
    return true;
}

bool host_address_is_loopback(const host_address *address) {
    if (address->any.sa_family == AF_INET)
        return ntohl(address->four.sin_addr.s_addr) >> 24 == 127;
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->six.sin6_addr);
}

#pragma mark What the kernel says

/// Where the kernel would send a packet: RTN_UNICAST and so on; or a negative errno.
static int route_type(int routes, int family, const void *address, size_t length) {
    static atomic_uint last_number;
    uint32_t number = atomic_fetch_add(&last_number, 1);
    struct {
        struct nlmsghdr header;
        struct rtmsg message;
        struct rtattr attribute;
        uint8_t address[sizeof(struct in6_addr)];
    } question = {
        .header = {.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof question.message) + RTA_LENGTH(length)),
                   .nlmsg_type = RTM_GETROUTE,
                   .nlmsg_flags = NLM_F_REQUEST,
                   .nlmsg_seq = number},
        .message = {.rtm_family = (uint8_t)family, .rtm_dst_len = (uint8_t)(8 * length)},
        .attribute = {.rta_len = (uint16_t)RTA_LENGTH(length), .rta_type = RTA_DST},
    };
    memcpy(question.address, address, length);
    if (send(routes, &question, question.header.nlmsg_len, 0) < 0)
        return -errno;
    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    for (;;) {
        struct pollfd waiting = {.fd = routes, .events = POLLIN};
        int ready = poll(&waiting, 1, ANSWER_MILLISECONDS);
        if (ready < 0 && errno == EINTR)
            continue;
        ssize_t count = ready > 0 ? recv(routes, answer, sizeof answer, MSG_DONTWAIT) : -1;
        if (count < (ssize_t)sizeof(struct nlmsghdr))
            return ready <= 0 ? -ETIMEDOUT : -EIO;
        const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
        // What came too late for an earlier question.
        if (header->nlmsg_seq != number)
            continue;
        if (header->nlmsg_type == NLMSG_ERROR && count >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
            int error = ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
            return error < 0 ? error : -EIO;
        }
        if (header->nlmsg_type != RTM_NEWROUTE || count < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)))
            return -EIO;
        return ((const struct rtmsg *)NLMSG_DATA(header))->rtm_type;
    }
}

static int error_of_type(int type) {
    if (type < 0)
        return -type;
    return type == RTN_UNICAST ? 0 : EACCES;
}

static int error_of_four(int routes, uint32_t address) {
    uint32_t sent = htonl(address);
    return is_refused_four(address) ? EACCES : error_of_type(route_type(routes, AF_INET, &sent, sizeof sent));
}

int host_address_error(int routes, const host_address *address) {
    if (address->any.sa_family == AF_INET)
        return error_of_four(routes, ntohl(address->four.sin_addr.s_addr));
    if (address->any.sa_family != AF_INET6)
        return EAFNOSUPPORT;
    const struct in6_addr *six = &address->six.sin6_addr;
    if (is_refused_six(six))
        return EACCES;
    uint32_t four;
    if (has_four(six, &four)) {
        int error = error_of_four(routes, four);
        if (error != 0 || IN6_IS_ADDR_V4MAPPED(six))
            return error;
    }
    return error_of_type(route_type(routes, AF_INET6, six, sizeof *six));
}

#pragma mark Name servers

static bool is_same(const host_address *address, const char *text) {
    struct in6_addr six;
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1)
        return address->any.sa_family == AF_INET && address->four.sin_addr.s_addr == four.s_addr;
    return inet_pton(AF_INET6, text, &six) == 1 && address->any.sa_family == AF_INET6 &&
           memcmp(&address->six.sin6_addr, &six, sizeof six) == 0;
}

bool host_address_is_name_server(const host_address *address) {
    static const char word[] = "nameserver";
    char text[NAME_SERVERS_SIZE];
    int file = descriptor_above_standard(open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file < 0)
        return false;
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    text[count > 0 ? count : 0] = '\0';
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        line += strspn(line, " \t");
        if (strncmp(line, word, sizeof word - 1) != 0)
            continue;
        line += sizeof word - 1;
        size_t space = strspn(line, " \t");
        line += space;
        // A scope may follow, by a percent sign.
        line[strcspn(line, " \t\r%#;")] = '\0';
        if (space > 0 && is_same(address, line))
            return true;
    }
    return false;
}
