// SPDX-License-Identifier: Apache-2.0
// Makes control groups as the library does, in a guest, whose kernel has all controllers: what this host's has is in
// use by others, or not there.
//
//     control_groups place                             where this process may make groups, or why not
//     control_groups delegate FOLDER                   marks it as systemd marks what it delegates
//     control_groups run FOLDER PROCESSORS BYTES COMMAND…   runs it in a group of its own, and says how it ended
//     control_groups leave FOLDER                      makes one and ends
#include "Virtualization/host/confinement/HostControlGroupFiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int tell(host_group_answer answer, const char *place) {
    static const char *const states[] = {"usable",        "no hierarchy", "not delegated",
                                         "no controller", "processes",    "refused"};
    printf("%s %s %s%s\n", states[answer.state], place, answer.controller != NULL ? answer.controller : "",
           answer.error != 0 ? strerror(answer.error) : "");
    return 0;
}

static unsigned long microseconds_of(const host_control_group *group) {
    char text[1024] = "";
    int file = openat(group->folder, "cpu.stat", O_RDONLY);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0 || strncmp(text, "usage_usec ", 11) != 0)
        return 0;
    close(file);
    return strtoul(text + 11, NULL, 10);
}

static int run(char **arguments) {
    host_control_group group;
    host_group_limits limits = {.processors = atof(arguments[1]), .memory = strtoull(arguments[2], NULL, 10)};
    host_group_answer answer = host_control_group_check(arguments[0], limits);
    if (answer.state == HOST_GROUP_USABLE)
        answer = host_control_group_make(arguments[0], limits, &group);
    if (answer.state != HOST_GROUP_USABLE)
        return tell(answer, arguments[0]);
    int joined[2];
    if (pipe(joined) != 0)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        if (write(group.joined, "0", 1) != 1 || write(joined[1], "", 1) != 1)
            _exit(126);
        close(joined[0]);
        close(joined[1]);
        execvp(arguments[3], arguments + 3);
        _exit(127);
    }
    char byte;
    close(joined[1]);
    if (read(joined[0], &byte, 1) != 1)
        return 1;
    bool is_gone_early = host_control_group_remove(&group);
    int status = 0;
    waitpid(child, &status, 0);
    printf("signal %d status %d kills %llu milliseconds %lu early %d ", WIFSIGNALED(status) ? WTERMSIG(status) : 0,
           WIFEXITED(status) ? WEXITSTATUS(status) : -1, (unsigned long long)host_control_group_oom_kills(&group),
           microseconds_of(&group) / 1000, is_gone_early);
    printf("removed %d\n", host_control_group_remove(&group));
    return 0;
}

int main(int count, char **arguments) {
    char place[PATH_MAX];
    if (count == 2 && strcmp(arguments[1], "place") == 0) {
        host_group_answer answer = host_control_group_place(place);
        return tell(answer, place);
    }
    if (count == 3 && strcmp(arguments[1], "delegate") == 0)
        return setxattr(arguments[2], "trusted.delegate", "1", 1, 0) != 0;
    if (count > 5 && strcmp(arguments[1], "run") == 0)
        return run(arguments + 2);
    host_control_group left;
    if (count == 3 && strcmp(arguments[1], "leave") == 0)
        return tell(host_control_group_make(arguments[2], (host_group_limits){0}, &left), left.name);
    return 2;
}
