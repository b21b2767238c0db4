// SPDX-License-Identifier: Apache-2.0
// What the guest says of itself.

#include "agent.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/// Lines, as many as a frame takes: one that does not fit is left out.
struct lines {
    char text[LONGEST_PAYLOAD];
    size_t length;
};

__attribute__((format(printf, 3, 4))) static void add(struct lines *lines, const char *key, const char *format, ...) {
    size_t left = sizeof lines->text - lines->length;
    char *place = lines->text + lines->length;
    int before = snprintf(place, left, "%s=", key);
    if (before < 0 || (size_t)before >= left) {
        return;
    }
    va_list values;
    va_start(values, format);
    int after = vsnprintf(place + before, left - (size_t)before, format, values);
    va_end(values);
    if (after < 0 || (size_t)before + (size_t)after + 1 >= left) {
        return;
    }
    // A line end in a value would begin a key of its own.
    for (char *byte = place; *byte != '\0'; byte++) {
        *byte = *byte == '\n' ? ' ' : *byte;
    }
    lines->length += (size_t)before + (size_t)after;
    lines->text[lines->length++] = '\n';
}

static void add_release(struct lines *lines) {
    FILE *file = fopen("/etc/os-release", "re");
    if (file == NULL) {
        file = fopen("/usr/lib/os-release", "re");
    }
    if (file == NULL) {
        return;
    }
    char line[1024];
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, '=');
        line[strcspn(line, "\n")] = '\0';
        if (value == NULL || line[0] == '#') {
            continue;
        }
        *value++ = '\0';
        size_t length = strlen(value);
        if (length >= 2 && (value[0] == '"' || value[0] == '\'') && value[length - 1] == value[0]) {
            value[length - 1] = '\0';
            value++;
        }
        char key[128];
        if (snprintf(key, sizeof key, "os.%s", line) < (int)sizeof key) {
            add(lines, key, "%s", value);
        }
    }
    fclose(file);
}

/// What a new program could use, which the kernel alone knows; without /proc what is free.
static unsigned long long available_memory(unsigned long long otherwise) {
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) {
        return otherwise;
    }
    char line[256];
    unsigned long long kibibytes;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %llu kB", &kibibytes) == 1) {
            otherwise = kibibytes * 1024;
        }
    }
    fclose(file);
    return otherwise;
}

static void add_figures(struct lines *lines) {
    struct sysinfo figures;
    if (sysinfo(&figures) != 0) {
        return;
    }
    struct timespec uptime;
    if (clock_gettime(CLOCK_BOOTTIME, &uptime) == 0) {
        add(lines, "uptime", "%lld.%02ld", (long long)uptime.tv_sec, uptime.tv_nsec / 10000000);
    }
    // Fixed-point numbers of 16 bits behind the point.
    double one = figures.loads[0] / 65536.0, five = figures.loads[1] / 65536.0, fifteen = figures.loads[2] / 65536.0;
    add(lines, "load", "%.2f %.2f %.2f", one, five, fifteen);
    add(lines, "memory.total", "%llu", (unsigned long long)figures.totalram * figures.mem_unit);
    add(lines, "memory.available", "%llu",
        available_memory(((unsigned long long)figures.freeram + figures.bufferram) * figures.mem_unit));
    add(lines, "processors", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
}

static void add_addresses(struct lines *lines) {
    struct ifaddrs *first;
    if (getifaddrs(&first) != 0) {
        return;
    }
    for (struct ifaddrs *each = first; each != NULL; each = each->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        const void *address = NULL;
        if (each->ifa_addr == NULL || !(each->ifa_flags & IFF_UP)) {
            continue;
        }
        if (each->ifa_addr->sa_family == AF_INET) {
            address = &((const struct sockaddr_in *)(const void *)each->ifa_addr)->sin_addr;
        } else if (each->ifa_addr->sa_family == AF_INET6) {
            address = &((const struct sockaddr_in6 *)(const void *)each->ifa_addr)->sin6_addr;
        }
        if (address != NULL && inet_ntop(each->ifa_addr->sa_family, address, text, sizeof text) != NULL) {
            add(lines, "address", "%s %s", each->ifa_name, text);
        }
    }
    freeifaddrs(first);
}

void information_tell(struct agent *agent) {
    struct lines lines = {.length = 0};
    struct utsname names;
    follow_root(agent);
    add(&lines, "agent", "%s", AGENT_VERSION);
    if (uname(&names) == 0) {
        add(&lines, "kernel", "%s", names.release);
        add(&lines, "machine", "%s", names.machine);
        add(&lines, "hostname", "%s", names.nodename);
    }
    add_release(&lines);
    add_figures(&lines);
    add_addresses(&lines);
    frame_send(&agent->port, TOLD, 0, 0, lines.text, lines.length);
}
