// SPDX-License-Identifier: Apache-2.0
// "fork": a child that was forked from a process with machines takes no lock of the library's, which a thread that is
// not there may have held, and sends nothing to a queue, for which a lock is taken. messages.m says more.
//
// Without <pthread.h>, whose declaration would give the function another visibility.
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

extern bool played_mac_is_forked_child;
void played_mac_refuse_in_child(const char *what, const char *name, const char *of);

// The thread sanitizer has to see every lock itself.
#if !__has_feature(thread_sanitizer)

__attribute__((visibility("hidden"))) int pthread_mutex_lock(void *mutex);

int pthread_mutex_lock(void *mutex) {
    static int (*original)(void *);
    int (*lock)(void *) = __atomic_load_n(&original, __ATOMIC_RELAXED);
    if (lock == NULL) {
        // A sanitizer's, where there is one.
        lock = (int (*)(void *))dlsym(RTLD_DEFAULT, "pthread_mutex_lock");
        __atomic_store_n(&original, lock, __ATOMIC_RELAXED);
    }
    if (played_mac_is_forked_child)
        played_mac_refuse_in_child("a lock was taken", "pthread_mutex_lock", "the library");
    return lock(mutex);
}

#endif
