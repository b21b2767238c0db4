// SPDX-License-Identifier: Apache-2.0
// Weak references under threads: what is loaded is alive or nil, whichever of the last release and the load came first.
#import "../checks.h"
#import "runtime_entry_points.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { threadCount = 4, rounds = 4000, variableCount = 4 };

static pthread_barrier_t barrier;
static __weak Counted *reference;
static void *lastReference;
static atomic_long loadedAlive;
static atomic_long loadedNil;

static void loadOnce(void) {
    @autoreleasepool {
        Counted *strong = reference;
        if (strong) {
            CHECK([strong alive] == 7);
            atomic_fetch_add(&loadedAlive, 1);
        } else {
            atomic_fetch_add(&loadedNil, 1);
        }
    }
}

// In each round one thread releases the object's last strong reference, and the others load the weak one meanwhile.
static void *lastReleaseAgainstLoads(void *argument) {
    long index = (long)argument;
    for (int round = 0; round < rounds; round++) {
        if (index == 0) {
            Counted *object = [Counted new];
            object.number = 7;
            reference = object;
            lastReference = (__bridge_retained void *)object;
            object = nil;
        }
        pthread_barrier_wait(&barrier);
        if (index == round % threadCount) {
            // Let the others get to their loads, in some rounds.
            for (volatile int spin = 0; spin < round % 400; spin++) {
            }
            entry_release(lastReference);
        } else {
            for (int i = 0; i < 4; i++) {
                loadOnce();
            }
        }
        pthread_barrier_wait(&barrier);
        CHECK(reference == nil);
        CHECK_LIVE(0);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static __weak Counted *variables[variableCount];

// All threads store into and load from the same variables, and the objects die while they are referred to.
static void *storesAndLoads(void *argument) {
    unsigned state = (unsigned)(long)argument * 2654435761u + 1;
    for (int round = 0; round < rounds; round++) {
        @autoreleasepool {
            state = state * 1103515245u + 12345u;
            unsigned target = (state >> 16) % variableCount;
            unsigned source = (state >> 18) % variableCount;
            Counted *object = [Counted new];
            object.number = (int)target;
            variables[target] = object;
            Counted *loaded = variables[source];
            CHECK(!loaded || [loaded alive] < variableCount);
            __weak Counted *copy = loaded;
            __weak Counted *copyOfCopy = copy;
            loaded = nil;
            if (round % 3 == 0) {
                variables[source] = copyOfCopy;
            }
            if (round % 7 == 0) {
                object = nil;
                loaded = copyOfCopy;
                CHECK(!loaded || [loaded alive] < variableCount);
            }
        }
    }
    return NULL;
}

static id (^__weak weakBlock)(void);
static void *lastBlock;

static void *blocksDie(void *argument) {
    long index = (long)argument;
    for (int round = 0; round < rounds / 4; round++) {
        if (index == 0) {
            Counted *captured = [Counted new];
            captured.number = 9;
            id (^block)(void) = ^id {
                return captured;
            };
            weakBlock = block;
            lastBlock = (__bridge_retained void *)block;
        }
        pthread_barrier_wait(&barrier);
        if (index == round % threadCount) {
            entry_release(lastBlock);
        } else {
            @autoreleasepool {
                id (^strong)(void) = weakBlock;
                CHECK(!strong || [strong() alive] == 9);
            }
        }
        pthread_barrier_wait(&barrier);
        CHECK(weakBlock == nil);
        CHECK_LIVE(0);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

#if __has_feature(thread_sanitizer)
enum { forks = 0 }; // it takes the parent's threads for the child's, and misses them
#else
enum { forks = 20 };
#endif

// A child of fork() has one thread, and the locks as they were: it must be able to use every variable.
static void useInChildren(void) {
    for (int i = 0; i < forks; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(20);
            @autoreleasepool {
                Counted *object = [Counted new];
                for (int variable = 0; variable < variableCount; variable++) {
                    Counted *loaded = variables[variable];
                    CHECK(!loaded || [loaded alive] < variableCount);
                    variables[variable] = object;
                }
            }
            CHECK(variables[0] == nil);
            _exit(0);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
}

static void onThreads(void *(*body)(void *), void (*meanwhile)(void)) {
    pthread_t threads[threadCount];
    pthread_barrier_init(&barrier, NULL, threadCount);
    for (long i = 0; i < threadCount; i++) {
        pthread_create(&threads[i], NULL, body, (void *)i);
    }
    if (meanwhile) {
        meanwhile();
    }
    for (int i = 0; i < threadCount; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&barrier);
}

int main(void) {
    onThreads(lastReleaseAgainstLoads, NULL);
    CHECK(loadedAlive + loadedNil == (long)rounds * (threadCount - 1) * 4);
    // Both orders of the race were met.
    CHECK(loadedAlive > 0 && loadedNil > 0);
    onThreads(storesAndLoads, useInChildren);
    for (int i = 0; i < variableCount; i++) {
        CHECK(variables[i] == nil);
    }
    CHECK_LIVE(0);
    onThreads(blocksDie, NULL);
    return 0;
}
