// SPDX-License-Identifier: Apache-2.0
// The agent's own user, which most processes run as: read once, and again when the file of users is another.

#include "agent.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_TEXT = 256 };

static struct {
    bool known;
    struct stat file;
    struct passwd entry;
    char name[LONGEST_TEXT], home[LONGEST_TEXT], shell[LONGEST_TEXT];
} own;

static bool is_same(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino && one->st_size == other->st_size &&
           one->st_ctim.tv_sec == other->st_ctim.tv_sec && one->st_ctim.tv_nsec == other->st_ctim.tv_nsec;
}

static bool copy(char place[LONGEST_TEXT], const char *text) {
    return snprintf(place, LONGEST_TEXT, "%s", text) < LONGEST_TEXT;
}

/// Whether the entry could be kept.
static bool keep(const struct passwd *entry, const struct stat *file) {
    own.file = *file;
    own.entry = *entry;
    own.entry.pw_name = own.name;
    own.entry.pw_dir = own.home;
    own.entry.pw_shell = own.shell;
    return copy(own.name, entry->pw_name) && copy(own.home, entry->pw_dir) && copy(own.shell, entry->pw_shell);
}

struct passwd own_user(void) {
    struct stat file = {0};
    // One that is missing is as one of no length.
    (void)stat("/etc/passwd", &file);
    if (own.known && is_same(&file, &own.file)) {
        return own.entry;
    }
    static const struct passwd nobody_knows = {.pw_name = "root", .pw_dir = "/", .pw_shell = "/bin/sh"};
    const struct passwd *found = getpwuid(geteuid());
    struct passwd entry = found != NULL ? *found : nobody_knows;
    // One that has just changed may change again with the same time.
    own.known = keep(&entry, &file) && time(NULL) - file.st_ctim.tv_sec > 2;
    return entry;
}
