// SPDX-License-Identifier: Apache-2.0
#include <linux/futex.h>
#include <os/lock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

// The word is the owner's thread identifier, 0 where there is none, and whether somebody waits.
enum { WAITED_FOR = 0x40000000 };

static uint32_t own(void) {
    static _Thread_local uint32_t identifier;
    // A child of fork() keeps it: what its thread had locked it may unlock.
    if (identifier == 0)
        identifier = (uint32_t)gettid();
    return identifier;
}

static _Noreturn void fail(const char *function, const char *reason) {
    fprintf(stderr, "%s: %s\n", function, reason);
    abort();
}

static uint32_t owner(const os_unfair_lock *lock) {
    return __atomic_load_n(&lock->_os_unfair_lock_opaque, __ATOMIC_RELAXED) & ~(uint32_t)WAITED_FOR;
}

bool os_unfair_lock_trylock(os_unfair_lock_t lock) {
    uint32_t none = 0;
    return __atomic_compare_exchange_n(&lock->_os_unfair_lock_opaque, &none, own(), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

void os_unfair_lock_lock(os_unfair_lock_t lock) {
    if (os_unfair_lock_trylock(lock))
        return;
    if (owner(lock) == own())
        fail(__func__, "the thread has locked it already");
    for (;;) {
        uint32_t seen = __atomic_load_n(&lock->_os_unfair_lock_opaque, __ATOMIC_RELAXED);
        if (seen == 0) {
            // Others may wait still: who unlocks finds out.
            if (__atomic_compare_exchange_n(&lock->_os_unfair_lock_opaque, &seen, own() | WAITED_FOR, false,
                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return;
        } else if ((seen & WAITED_FOR) ||
                   __atomic_compare_exchange_n(&lock->_os_unfair_lock_opaque, &seen, seen | WAITED_FOR, false,
                                               __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            syscall(SYS_futex, &lock->_os_unfair_lock_opaque, FUTEX_WAIT_PRIVATE, seen | WAITED_FOR, NULL, NULL, 0);
        }
    }
}

void os_unfair_lock_unlock(os_unfair_lock_t lock) {
    if (owner(lock) != own())
        fail(__func__, "the thread has not locked it");
    if (__atomic_exchange_n(&lock->_os_unfair_lock_opaque, 0, __ATOMIC_RELEASE) & WAITED_FOR)
        syscall(SYS_futex, &lock->_os_unfair_lock_opaque, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void os_unfair_lock_assert_owner(const os_unfair_lock *lock) {
    if (owner(lock) != own())
        fail(__func__, "the thread has not locked it");
}

void os_unfair_lock_assert_not_owner(const os_unfair_lock *lock) {
    if (owner(lock) == own())
        fail(__func__, "the thread has locked it");
}
