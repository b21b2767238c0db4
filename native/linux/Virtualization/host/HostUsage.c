// SPDX-License-Identifier: Apache-2.0
#include "HostUsage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST = 4096 };

/// The beginning of a file of /proc, as text. False where it cannot be read.
static bool read_text(const char *path, char text[static LONGEST]) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t length = fread(text, 1, LONGEST - 1, file);
    text[length] = '\0';
    fclose(file);
    return length > 0;
}

static bool process_of(int pidfd, int *process) {
    char path[64], text[LONGEST];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    const char *line = read_text(path, text) ? strstr(text, "\nPid:") : NULL;
    // One that was reaped has the number -1.
    return line != NULL && sscanf(line, " Pid: %d", process) == 1 && *process > 0;
}

bool host_parse_process_times(const char *text, uint64_t *user, uint64_t *system) {
    // The program's name is in parentheses, and may have some itself.
    const char *fields = strrchr(text, ')');
    return fields != NULL &&
           sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, user, system) == 2;
}

bool host_process_usage_of(int pidfd, host_process_usage *usage) {
    char path[64], text[LONGEST];
    int process;
    uint64_t user, system, pages;
    if (!process_of(pidfd, &process))
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    if (!read_text(path, text) || !host_parse_process_times(text, &user, &system))
        return false;
    snprintf(path, sizeof path, "/proc/%d/statm", process);
    if (!read_text(path, text) || sscanf(text, "%*u %" SCNu64, &pages) != 1)
        return false;
    usage->processor_seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    usage->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

bool host_parse_interface(const char *text, const char *name, host_interface_usage *usage) {
    const char *line = text + strspn(text, " ");
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 && line[length] == ':' &&
           sscanf(line + length + 1, "%" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                  &usage->received_bytes, &usage->received_packets, &usage->sent_bytes, &usage->sent_packets) == 4;
}

bool host_interface_usage_of(const char *name, host_interface_usage *usage) {
    FILE *file = fopen("/proc/thread-self/net/dev", "re");
    if (file == NULL)
        return false;
    char text[512];
    bool found = false;
    while (!found && fgets(text, sizeof text, file) != NULL)
        found = host_parse_interface(text, name, usage);
    fclose(file);
    return found;
}
