// SPDX-License-Identifier: Apache-2.0
// Where the agent runs: as the first process of an initial file system, or as any other; and its port there.

#include "agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PORT_NAME "org.applevz.agent.0"

void follow_root(const struct agent *agent) {
    // "/.." is what is mounted over the root, or the root where nothing is. Where the agent may not do this it stays.
    if (agent->follows_root && chdir("/..") == 0) {
        (void)chroot(".");
    }
}

/// The first process goes on as the real init.
static _Noreturn void execute_init(char **arguments) {
    static const char *const places[] = {"/init", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};
    // The kernel hands on what it does not know itself. The variable is for the agent alone.
    const char *asked = getenv("applevz_rdinit");
    char path[4096] = "";
    if (asked != NULL && strlen(asked) < sizeof path) {
        strcpy(path, asked);
    }
    unsetenv("applevz_rdinit");
    if (path[0] != '\0') {
        arguments[0] = path;
        execv(path, arguments);
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        arguments[0] = (char *)places[i];
        execv(places[i], arguments);
    }
    // The kernel panics, and says that there is no working init: which is so.
    _exit(127);
}

/// Descriptors 0 to 2, which the kernel leaves closed where there is no /dev/console.
static void fill_descriptors(void) {
    (void)mknod(OWN_FOLDER "/null", S_IFCHR | 0600, makedev(1, 3));
    int descriptor;
    do {
        descriptor = open(OWN_FOLDER "/null", O_RDWR);
    } while (descriptor >= 0 && descriptor < 3);
    if (descriptor > 2) {
        close(descriptor);
    }
}

void boot(struct agent *agent, char **arguments) {
    pid_t child = fork();
    if (child != 0) {
        // Without a child there is no agent; the system starts none the less.
        execute_init(arguments);
    }
    fill_descriptors();
    agent->follows_root = true;
    // What ends all processes of the initial file system spares one that is named like this (systemd's sign for it).
    arguments[0][0] = '@';
    setsid();
    // In a mount namespace of its own the agent would never see the root that is mounted later.
    (void)mkdir(OWN_FOLDER "/sys", 0700);
    (void)mkdir(OWN_FOLDER "/proc", 0700);
}

/// The device of the port of our name, below a sysfs: false where there is none yet.
static bool find_device(const char *folder, char *name, size_t size, dev_t *device) {
    DIR *ports = opendir(folder);
    if (ports == NULL) {
        return false;
    }
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(ports)) != NULL;) {
        char path[512], text[128] = "";
        if (entry->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s/name", folder, entry->d_name) >= (int)sizeof path) {
            continue;
        }
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        found = fgets(text, sizeof text, file) != NULL && strcmp(text, PORT_NAME "\n") == 0;
        fclose(file);
        unsigned major, minor;
        snprintf(path, sizeof path, "%s/%s/dev", folder, entry->d_name);
        file = found ? fopen(path, "re") : NULL;
        found = file != NULL && fscanf(file, "%u:%u", &major, &minor) == 2;
        if (file != NULL) {
            fclose(file);
        }
        if (found) {
            *device = makedev(major, minor);
            snprintf(name, size, "/dev/%s", entry->d_name);
        }
    }
    closedir(ports);
    return found;
}

/// Opens the device: by the name that udev gave it, or by one of our own that is gone again at once.
static int open_device(const char *name, dev_t device) {
    int descriptor = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    static const char *const folders[] = {OWN_FOLDER, "/dev", "/run", "/tmp", ""};
    for (size_t i = 0; descriptor < 0 && errno != EBUSY && i < sizeof folders / sizeof folders[0]; i++) {
        char own[64];
        snprintf(own, sizeof own, "%s/.applevz-port-%d", folders[i], (int)getpid());
        if (mknod(own, S_IFCHR | 0600, device) == 0) {
            descriptor = open(own, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
            unlink(own);
        }
    }
    return descriptor;
}

/// Looks for the port once. Returns whether it is there.
static bool look_for_port(const struct agent *agent, char *name, size_t size, dev_t *device) {
    follow_root(agent);
    bool found = find_device("/sys/class/virtio-ports", name, size, device);
    if (!found && agent->follows_root) {
        // As long as the initial file system's init has mounted nothing: for a moment, in a place of its own.
        // All mounts of sysfs are one file system. It must not be read-only: it would be so for the init, too, which
        // mounts it in this moment, and whose udev could then ask for no device.
        if (mount("sysfs", OWN_FOLDER "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0) {
            found = find_device(OWN_FOLDER "/sys/class/virtio-ports", name, size, device);
            umount2(OWN_FOLDER "/sys", MNT_DETACH);
        }
    }
    return found;
}

/// Whether the init has mounted /proc, which processes look into. The port's driver may be a part of the kernel: then
/// the port is there before the init has done anything.
static bool has_begun(const struct agent *agent) {
    return !agent->follows_root || access("/proc/self", F_OK) == 0;
}

int wait_for_port(const struct agent *agent) {
    // Its driver may be a module that is loaded at any time, and only udev could tell of it. A guest that took long
    // until now may take a little longer.
    for (int waited = 0, early = 0;;) {
        char name[300];
        dev_t device;
        int milliseconds = waited / 32 < 5 ? 5 : waited / 32 > 500 ? 500 : waited / 32;
        if (look_for_port(agent, name, sizeof name, &device)) {
            // An init that mounts no /proc is not waited for any longer than this.
            int descriptor = early >= 5000 || has_begun(agent) ? open_device(name, device) : -1;
            if (descriptor >= 0) {
                return descriptor;
            }
            early += milliseconds;
        }
        waited = waited > 60000 ? waited : waited + milliseconds;
        poll(NULL, 0, milliseconds);
    }
}
