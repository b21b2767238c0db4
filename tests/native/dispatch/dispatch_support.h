// SPDX-License-Identifier: Apache-2.0
// What the dispatch_*.m programs share. A program that ends with status 0 has shown what its name and its checks say.
#ifndef DISPATCH_SUPPORT_H
#define DISPATCH_SUPPORT_H

#include <dirent.h>
#include <dispatch/dispatch.h>
#include <dispatch/poller.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/// Ends the program at once: later checks would only hide the first failure.
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);                                    \
            fprintf(stderr, "" __VA_ARGS__);                                                                           \
            fprintf(stderr, "\n");                                                                                     \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/// Longer than anything here takes on a loaded machine; what waits this long hangs.
#define PATIENCE dispatch_time(DISPATCH_TIME_NOW, 30 * (int64_t)NSEC_PER_SEC)

#define AWAIT(semaphore) CHECK(dispatch_semaphore_wait(semaphore, PATIENCE) == 0, "it never came")

/// For what must not happen: long enough for it to happen on a machine that is not busy.
static inline void __attribute__((unused)) give_it_a_chance(void) {
    usleep(30000);
}

static inline int __attribute__((unused)) entries_of(const char *directory) {
    DIR *entries = opendir(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(entries));) {
        count += entry->d_name[0] != '.';
    }
    closedir(entries);
    return count;
}

/// The threads of dispatch, by their names: a sanitizer has threads of its own.
static inline int __attribute__((unused)) dispatch_thread_count(void) {
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300];
        char name[16] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file) {
            count += fgets(name, sizeof name, file) && strncmp(name, "applevz-", 8) == 0;
            fclose(file);
        }
    }
    closedir(tasks);
    return count;
}

static inline long __attribute__((unused)) resident_kibibytes(void) {
    FILE *status = fopen("/proc/self/statm", "r");
    long size = 0;
    long resident = 0;
    CHECK(fscanf(status, "%ld %ld", &size, &resident) == 2);
    fclose(status);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/// Not an array, which blocks do not capture.
struct descriptors {
    int first;
    int second;
};

static inline struct descriptors __attribute__((unused)) new_pipe(int flags) {
    int ends[2];
    CHECK(pipe2(ends, flags) == 0);
    return (struct descriptors){ends[0], ends[1]};
}

static inline struct descriptors __attribute__((unused)) new_socket_pair(void) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    return (struct descriptors){ends[0], ends[1]};
}

struct support_thread {
    __unsafe_unretained void (^body)(int index);
    int index;
};

static inline void *support_thread_main(void *argument) {
    struct support_thread *thread = argument;
    thread->body(thread->index);
    return NULL;
}

/// Runs the body on so many threads that are not dispatch's, and waits for them.
static inline void __attribute__((unused)) on_threads(int count, void (^body)(int index)) {
    pthread_t threads[64];
    struct support_thread arguments[64];
    for (int i = 0; i < count; i++) {
        arguments[i] = (struct support_thread){.body = body, .index = i};
        CHECK(pthread_create(&threads[i], NULL, support_thread_main, &arguments[i]) == 0);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

#endif
