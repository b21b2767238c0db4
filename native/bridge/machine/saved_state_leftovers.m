// SPDX-License-Identifier: Apache-2.0
#import "saved_state_leftovers.h"
#import <dirent.h>
#import <errno.h>
#import <fcntl.h>
#import <signal.h>
#import <stdlib.h>
#import <string.h>
#import <sys/stat.h>
#import <time.h>
#import <unistd.h>

const char applevz_temporary_prefix[] = ".applevz-saving-";

enum { MOST_NAMES = 10000, DEEPEST_FOLDER = 8, SECONDS_WITHOUT_CHANGE = 60 };

static NSMutableSet<NSString *> *names_in_use(void) {
    static NSMutableSet *names;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        names = [NSMutableSet set];
    });
    return names;
}

NSString *applevz_new_temporary_name(void) {
    NSString *name =
        [NSString stringWithFormat:@"%s%ld-%@", applevz_temporary_prefix, (long)getpid(), [NSUUID UUID].UUIDString];
    NSMutableSet<NSString *> *names = names_in_use();
    @synchronized(names) {
        [names addObject:name];
    }
    return name;
}

void applevz_temporary_name_is_free(NSString *name) {
    NSMutableSet<NSString *> *names = names_in_use();
    @synchronized(names) {
        [names removeObject:name];
    }
}

static BOOL is_in_use(const char *found) {
    NSMutableSet<NSString *> *names = names_in_use();
    @synchronized(names) {
        for (NSString *name in names)
            if (strncmp(found, name.UTF8String, name.length) == 0)
                return YES;
    }
    return NO;
}

static void for_each_name(int folder, void (^body)(const char *name)) {
    // Opened anew: a duplicate would have one position with the original.
    int file = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = file >= 0 ? fdopendir(file) : NULL;
    if (stream == NULL) {
        if (file >= 0)
            close(file);
        return;
    }
    struct dirent *entry;
    for (int i = 0; i < MOST_NAMES && (entry = readdir(stream)) != NULL; i++)
        body(entry->d_name);
    closedir(stream);
}

static void remove_entry(int folder, const char *name, int depth) {
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (!S_ISDIR(status.st_mode)) {
        unlinkat(folder, name, 0);
        return;
    }
    int inner = depth < DEEPEST_FOLDER ? openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (inner < 0)
        return;
    for_each_name(inner, ^(const char *inner_name) {
        if (strcmp(inner_name, ".") != 0 && strcmp(inner_name, "..") != 0)
            remove_entry(inner, inner_name, depth + 1);
    });
    close(inner);
    unlinkat(folder, name, AT_REMOVEDIR);
}

void applevz_remove_temporary(int folder, NSString *name) {
    const char *prefix = name.UTF8String;
    for_each_name(folder, ^(const char *found) {
        if (strncmp(found, prefix, strlen(prefix)) == 0)
            remove_entry(folder, found, 0);
    });
}

/// Whether the process whose number a name has may still be about to give its file a name.
static BOOL is_of_somebody(const char *name) {
    char *end = NULL;
    long process = strtol(name + strlen(applevz_temporary_prefix), &end, 10);
    if (process <= 0 || process > INT32_MAX || *end != '-')
        return YES; // another program's name
    if (process == getpid())
        return is_in_use(name);
    return kill((pid_t)process, 0) == 0 || errno != ESRCH;
}

void applevz_remove_leftovers(int folder) {
    time_t now = time(NULL);
    for_each_name(folder, ^(const char *name) {
        struct stat status;
        if (strncmp(name, applevz_temporary_prefix, strlen(applevz_temporary_prefix)) != 0 ||
            fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_uid != geteuid() ||
            now - status.st_mtime < SECONDS_WITHOUT_CHANGE || is_of_somebody(name))
            return;
        remove_entry(folder, name, 0);
    });
}
