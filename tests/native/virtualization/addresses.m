// SPDX-License-Identifier: Apache-2.0
// Which addresses lead to this host, or tell it what is for it alone, in every way to write them.
#import "virtualization_support.h"
#import "host/HostAddresses.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>

static int routes;

static int error_of(const char *text) {
    host_address address = {0};
    if (inet_pton(AF_INET, text, &address.four.sin_addr) == 1) {
        address.any.sa_family = AF_INET;
    } else {
        CHECK(inet_pton(AF_INET6, text, &address.six.sin6_addr) == 1);
        address.any.sa_family = AF_INET6;
    }
    return host_address_error(routes, &address);
}

static void refused_are_refused(void) {
    const char *const refused[] = {
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:0.0.0.0",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::1",
        "fe80::1",
        "ff02::1",
        "ff05::fb",
        "fd00:ec2::254",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK(error_of(refused[i]) == EACCES);
}

/// Others' are reached, or there is no way to them, which says so.
static void others_are_not_refused(void) {
    const char *const others[] = {"192.0.2.1",        "100.100.100.199", "168.63.129.17",
                                  "::ffff:192.0.2.1", "2001:db8::1",     "fd00:ec2::253"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(error_of(others[i]) != EACCES);
}

/// Each of this host's, and where it is known the address by which all of its network are reached.
static void own_addresses_are_refused(void) {
    struct ifaddrs *first;
    CHECK(getifaddrs(&first) == 0);
    size_t count = 0;
    for (struct ifaddrs *one = first; one != NULL; one = one->ifa_next) {
        host_address address = {0};
        int family = one->ifa_addr != NULL ? one->ifa_addr->sa_family : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6)
            continue;
        memcpy(&address, one->ifa_addr, family == AF_INET ? sizeof address.four : sizeof address.six);
        CHECK(host_address_error(routes, &address) == EACCES);
        count++;
        if (family == AF_INET && (one->ifa_flags & IFF_BROADCAST) != 0 && (one->ifa_flags & IFF_UP) != 0 &&
            one->ifa_broadaddr != NULL) {
            memcpy(&address, one->ifa_broadaddr, sizeof address.four);
            CHECK(host_address_error(routes, &address) == EACCES);
        }
    }
    CHECK(count > 0);
    freeifaddrs(first);
}

static void loopback_is_known(void) {
    host_address address = {.four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f400001)}};
    CHECK(host_address_is_loopback(&address));
    address.four.sin_addr.s_addr = htonl(0x80000001);
    CHECK(!host_address_is_loopback(&address));
    address = (host_address){.six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
    CHECK(host_address_is_loopback(&address));
    address.any.sa_family = AF_UNIX;
    CHECK(!host_address_is_loopback(&address));
    CHECK(host_address_error(routes, &address) == EAFNOSUPPORT);
}

int main(void) {
    @autoreleasepool {
        routes = host_routes_open();
        CHECK(routes >= 0);
        refused_are_refused();
        others_are_not_refused();
        own_addresses_are_refused();
        loopback_is_known();
        close(routes);
        // Who cannot ask knows of no address that it is not this host's.
        CHECK(error_of("192.0.2.1") != 0);
    }
    return 0;
}
