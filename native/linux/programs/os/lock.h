// SPDX-License-Identifier: Apache-2.0
// <os/lock.h>: a lock of four bytes, whose owner is known.
#ifndef APPLEVZ_OS_LOCK_H
#define APPLEVZ_OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OS_LOCK_EXPORT extern __attribute__((visibility("default")))

typedef struct os_unfair_lock_s {
    uint32_t _os_unfair_lock_opaque;
} os_unfair_lock, *os_unfair_lock_t;

#ifdef __cplusplus
#define OS_UNFAIR_LOCK_INIT (os_unfair_lock())
#else
#define OS_UNFAIR_LOCK_INIT ((os_unfair_lock){0})
#endif

/* Locking what the thread has locked, and unlocking what it has not, end the process, as on macOS. */
OS_LOCK_EXPORT void os_unfair_lock_lock(os_unfair_lock_t lock);
OS_LOCK_EXPORT bool os_unfair_lock_trylock(os_unfair_lock_t lock) __attribute__((__warn_unused_result__));
OS_LOCK_EXPORT void os_unfair_lock_unlock(os_unfair_lock_t lock);
OS_LOCK_EXPORT void os_unfair_lock_assert_owner(const os_unfair_lock *lock);
OS_LOCK_EXPORT void os_unfair_lock_assert_not_owner(const os_unfair_lock *lock);

#ifdef __cplusplus
}
#endif

#endif
