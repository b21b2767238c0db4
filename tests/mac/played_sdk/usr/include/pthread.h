// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

typedef struct {
    long signature;
    char opaque[56];
} pthread_mutex_t;
typedef struct {
    long signature;
    char opaque[8];
} pthread_mutexattr_t;
typedef struct {
    long signature;
    char opaque[8];
} pthread_once_t;

#define PTHREAD_MUTEX_INITIALIZER {0x32aaaba7, {0}}
#define PTHREAD_ONCE_INIT {0x30b1bcba, {0}}

int pthread_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);
int pthread_once(pthread_once_t *once, void (*function)(void));
