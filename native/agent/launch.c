// SPDX-License-Identifier: Apache-2.0
// Executing a program. By vfork, which takes the same time however large the agent is: the child has the agent's memory
// until it executes the program, so it makes system calls and nothing else.

#include "agent.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_GROUPS = 256, DEFAULT_VARIABLES = 6, VARIABLE_LENGTH = 512, FEW_VARIABLES = 64 };

/// What the child is told besides the launch; made by the parent, for the child may not.
struct preparation {
    struct launch *launch;
    const struct agent *agent;
    bool change_user;
    uid_t user;
    gid_t group;
    gid_t groups[MOST_GROUPS];
    int group_count;
    char home[PATH_MAX];
    char defaults[DEFAULT_VARIABLES][VARIABLE_LENGTH];
    int default_count;
    char **environment;
    // Where it is, if it is short.
    char *few_variables[FEW_VARIABLES];
    const char *path;
    char candidate[PATH_MAX];
};

static bool names_variable(const char *variable, const char *assignment) {
    const char *sign = strchr(assignment, '=');
    size_t length = sign ? (size_t)(sign - assignment) + 1 : strlen(assignment);
    return strncmp(variable, assignment, length) == 0;
}

/// Adds NAME=value to what the environment has, unless the request has that name.
static void add_default(struct preparation *preparation, const char *name, const char *value) {
    char *text = preparation->defaults[preparation->default_count];
    int length = snprintf(text, VARIABLE_LENGTH, "%s=%s", name, value);
    if (length < 0 || length >= VARIABLE_LENGTH) {
        return;
    }
    for (char **variable = preparation->launch->variables; *variable != NULL; variable++) {
        if (names_variable(*variable, text)) {
            return;
        }
    }
    preparation->default_count++;
}

/// Finds the user. False with errno where there is none of that name.
static bool prepare_user(struct preparation *preparation, const char *name, struct passwd *found) {
    struct passwd *entry = name ? getpwnam(name) : NULL;
    if (entry == NULL && name != NULL) {
        char *rest;
        unsigned long number = strtoul(name, &rest, 10);
        entry = *rest == '\0' && *name >= '0' && *name <= '9' ? getpwuid((uid_t)number) : NULL;
        if (entry == NULL) {
            errno = ENOENT;
            return false;
        }
    }
    *found = entry ? *entry : own_user();
    preparation->change_user = name != NULL && (found->pw_uid != geteuid() || geteuid() == 0);
    preparation->user = found->pw_uid;
    preparation->group = found->pw_gid;
    preparation->group_count = MOST_GROUPS;
    if (preparation->change_user &&
        getgrouplist(found->pw_name, found->pw_gid, preparation->groups, &preparation->group_count) < 0) {
        preparation->group_count = MOST_GROUPS;
    }
    snprintf(preparation->home, sizeof preparation->home, "%s", found->pw_dir);
    return true;
}

/// The whole environment, in memory that the caller frees if it is not in the preparation.
static bool prepare_environment(struct preparation *preparation, const struct passwd *user) {
    const struct launch *launch = preparation->launch;
    if (!launch->whole_environment) {
        bool root = user->pw_uid == 0;
        const char *path = root ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                                : "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
        add_default(preparation, "PATH", path);
        add_default(preparation, "HOME", user->pw_dir);
        add_default(preparation, "USER", user->pw_name);
        add_default(preparation, "LOGNAME", user->pw_name);
        add_default(preparation, "SHELL", *user->pw_shell ? user->pw_shell : "/bin/sh");
        if (launch->terminal) {
            add_default(preparation, "TERM", "linux");
        }
    }
    size_t count = 0;
    while (launch->variables[count] != NULL) {
        count++;
    }
    size_t most = count + DEFAULT_VARIABLES + 1;
    preparation->environment =
        most <= FEW_VARIABLES ? preparation->few_variables : calloc(most, sizeof preparation->environment[0]);
    if (preparation->environment == NULL) {
        return false;
    }
    for (int i = 0; i < preparation->default_count; i++) {
        preparation->environment[i] = preparation->defaults[i];
    }
    memcpy(preparation->environment + preparation->default_count, launch->variables, count * sizeof(char *));
    preparation->path = "/usr/bin:/bin";
    for (char **variable = preparation->environment; *variable != NULL; variable++) {
        if (strncmp(*variable, "PATH=", 5) == 0) {
            preparation->path = *variable + 5;
        }
    }
    return true;
}

static _Noreturn void child_fail(struct launch *launch, const char *what) {
    launch->error = errno;
    launch->failed = what;
    _exit(127);
}

/// The agent blocks signals, and ignores none.
static void child_signals(void) {
    // The kernel's own call: the library's keeps some signals as they are.
    static const unsigned char none_blocked[KERNEL_SIGNALS / 8];
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, none_blocked, NULL, sizeof none_blocked);
}

static void child_descriptors(struct launch *launch) {
    // The agent has descriptors 0 to 2 filled from its begin on: none of these is one of them.
    for (int i = 0; i < 3; i++) {
        if (dup2(launch->descriptors[i], i) < 0) {
            child_fail(launch, "descriptor");
        }
    }
    if (launch->terminal && ioctl(0, TIOCSCTTY, 0) != 0) {
        child_fail(launch, "terminal");
    }
}

/// The library's own functions for this tell all threads, and count on memory that is the agent's.
static void child_user(const struct preparation *preparation) {
    if (!preparation->change_user) {
        return;
    }
    if (syscall(SYS_setgroups, (size_t)preparation->group_count, preparation->groups) != 0 ||
        syscall(SYS_setgid, preparation->group) != 0 || syscall(SYS_setuid, preparation->user) != 0) {
        child_fail(preparation->launch, "user");
    }
}

static void child_directory(const struct preparation *preparation) {
    const char *asked = preparation->launch->directory;
    if (asked != NULL) {
        if (chdir(asked) != 0) {
            child_fail(preparation->launch, "directory");
        }
    } else if (chdir(preparation->home) != 0 && chdir("/") != 0) {
        child_fail(preparation->launch, "directory");
    }
}

/// Executes the program, as execvp does, but with the PATH of its own environment.
static _Noreturn void child_execute(struct preparation *preparation) {
    char **arguments = preparation->launch->arguments;
    const char *name = arguments[0];
    size_t length = strlen(name);
    if (length == 0 || strchr(name, '/') != NULL) {
        execve(name, arguments, preparation->environment);
        child_fail(preparation->launch, "program");
    }
    int error = ENOENT;
    for (const char *folder = preparation->path, *after; folder != NULL; folder = *after ? after + 1 : NULL) {
        after = strchrnul(folder, ':');
        size_t folder_length = (size_t)(after - folder);
        if (folder_length + length + 2 > sizeof preparation->candidate) {
            continue;
        }
        memcpy(preparation->candidate, folder, folder_length);
        preparation->candidate[folder_length] = '/';
        memcpy(preparation->candidate + folder_length + (folder_length > 0), name, length + 1);
        // To fail at executing takes the kernel as long as several looks.
        if (access(preparation->candidate, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
            continue;
        }
        execve(preparation->candidate, arguments, preparation->environment);
        if (errno == EACCES) {
            error = EACCES;
        } else if (errno != ENOENT && errno != ENOTDIR) {
            child_fail(preparation->launch, "program");
        }
    }
    errno = error;
    child_fail(preparation->launch, "program");
}

/// All that the child does.
static _Noreturn void child(struct preparation *preparation) {
    if (setsid() < 0) {
        child_fail(preparation->launch, "session");
    }
    child_signals();
    child_descriptors(preparation->launch);
    // It was raised for the agent alone.
    (void)setrlimit(RLIMIT_NOFILE, &preparation->agent->files);
    child_user(preparation);
    child_directory(preparation);
    child_execute(preparation);
}

pid_t launch(const struct agent *agent, struct launch *launch) {
    struct preparation preparation = {.launch = launch, .agent = agent};
    struct passwd user;
    launch->error = 0;
    launch->failed = NULL;
    follow_root(agent);
    pid_t process = -1;
    if (!prepare_user(&preparation, launch->user, &user)) {
        launch->error = errno;
        launch->failed = "user";
    } else if (!prepare_environment(&preparation, &user)) {
        launch->error = ENOMEM;
        launch->failed = "memory";
    } else {
        if (launch->terminal && preparation.change_user) {
            // The terminal is the user's, as after a login. Where that fails it can still be used.
            (void)fchown(launch->descriptors[0], preparation.user, (gid_t)-1);
        }
        // Not in the child, which would have to look for a file of its own.
        oom_score_restore();
        process = vfork();
        if (process == 0) {
            child(&preparation);
        }
        if (process < 0) {
            launch->error = errno;
            launch->failed = "fork";
        }
        oom_score_protect(agent);
    }
    if (preparation.environment != preparation.few_variables) {
        free(preparation.environment);
    }
    // The child that executed nothing is reaped as all are.
    return launch->failed != NULL ? -1 : process;
}
