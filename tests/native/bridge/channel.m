// SPDX-License-Identifier: Apache-2.0
// Channels by themselves: operations complete, are announced, given up and released by several threads, in every order,
// while others read; then the channel goes while all that is still under way. Each token comes at most once, none after
// its operation's release, none is lost, and nothing is left behind.
//
// Arguments: the number of threads, the number of rounds of each.
#import "waiting/operation.h"
#import "boundary/ownership.h"
#import "applevz.h"
#import "../checks.h"
#import <poll.h>
#import <pthread.h>
#import <stdatomic.h>
#import <stdlib.h>
#import <unistd.h>

enum { MOST = 1 << 16 };
static int rounds;
static int announcers;
static applevz_channel *channel;
static _Atomic(int) arrivals[MOST];
static _Atomic(int) arrived;
static _Atomic(bool) finished;

static bool readable(applevz_channel *which) {
    struct pollfd descriptor = {.fd = applevz_channel_descriptor(which), .events = POLLIN};
    return poll(&descriptor, 1, 0) == 1;
}

static void announce(applevz_operation *operation, applevz_channel *to, uint64_t token) {
    CHECK(applevz_operation_announce(operation, to, token) == NULL);
}

static applevz_channel *channel_create(void) {
    applevz_channel *made = NULL;
    CHECK(applevz_channel_create(&made) == NULL);
    return made;
}

#pragma mark One thread: what it does

static void both_orders(void) {
    applevz_channel *own = channel_create();
    AppleVZOperation *before = [[AppleVZOperation alloc] init], *after = [[AppleVZOperation alloc] init];
    applevz_operation *first = applevz_hand_over_handle(before), *second = applevz_hand_over_handle(after);
    uint64_t token = 77;
    CHECK(!applevz_channel_next(own, &token));
    CHECK(token == 77);
    [before completeWithError:nil];
    announce(first, own, 1);
    announce(second, own, 2);
    CHECK(readable(own));
    [after completeWithError:nil];
    [after completeWithError:nil];
    CHECK(applevz_channel_next(own, &token) && token == 1);
    CHECK(readable(own));
    CHECK(applevz_channel_next(own, &token) && token == 2);
    CHECK(!applevz_channel_next(own, &token));
    CHECK(!readable(own));
    CFErrorRef error = applevz_operation_announce(first, own, 3);
    CHECK(error != NULL && applevz_error_code(error) == APPLEVZ_BRIDGE_ERROR_INVALID_STATE);
    CFRelease(error);
    applevz_operation_release(first);
    applevz_operation_release(second);
    applevz_channel_release(own);
}

/// What is released is not told of, whether it completed before or does afterwards, at the head of a batch, in its
/// middle or at its end.
static void given_up(void) {
    applevz_channel *own = channel_create();
    AppleVZOperation *objects[5];
    applevz_operation *handles[5];
    for (int i = 0; i < 5; i++) {
        objects[i] = [[AppleVZOperation alloc] init];
        handles[i] = applevz_hand_over_handle(objects[i]);
        announce(handles[i], own, (uint64_t)i);
    }
    applevz_operation_release(handles[3]);
    for (int i = 0; i < 5; i++)
        [objects[i] completeWithError:nil];
    applevz_operation_release(handles[0]);
    applevz_operation_release(handles[2]);
    applevz_operation_release(handles[4]);
    uint64_t token = 77;
    CHECK(applevz_channel_next(own, &token) && token == 1);
    CHECK(!applevz_channel_next(own, &token));
    CHECK(!readable(own));
    applevz_operation_release(handles[1]);
    applevz_channel_release(own);
}

/// A batch is one byte, however long it is: a pipe that is never read does not fill.
static void one_wake(void) {
    applevz_channel *own = channel_create();
    enum { MANY = 100000 };
    for (int i = 0; i < MANY; i++) {
        @autoreleasepool {
            AppleVZOperation *object = [[AppleVZOperation alloc] init];
            applevz_operation *operation = applevz_hand_over_handle(object);
            announce(operation, own, 1);
            [object completeWithError:nil];
            applevz_operation_release(operation);
        }
    }
    char byte;
    CHECK(read(applevz_channel_descriptor(own), &byte, 1) == 1);
    CHECK(!readable(own));
    applevz_channel_release(own);
}

static void channel_goes_first(void) {
    applevz_channel *own = channel_create();
    AppleVZOperation *queued = [[AppleVZOperation alloc] init], *waiting = [[AppleVZOperation alloc] init];
    applevz_operation *first = applevz_hand_over_handle(queued), *second = applevz_hand_over_handle(waiting);
    announce(first, own, 1);
    announce(second, own, 2);
    [queued completeWithError:nil];
    applevz_channel_release(own);
    [waiting completeWithError:nil];
    applevz_operation_release(first);
    applevz_operation_release(second);
}

#pragma mark Several threads

/// Announces operations that another thread completes; every third is given up at a moment of the other's choosing.
static void *complete_later(void *argument) {
    AppleVZOperation *object = (__bridge_transfer AppleVZOperation *)argument;
    [object completeWithError:nil];
    return NULL;
}

static void *announce_many(void *argument) {
    int begin = (int)(intptr_t)argument * rounds;
    enum { BATCH = 8 };
    for (int i = 0; i < rounds; i += BATCH) {
        @autoreleasepool {
            applevz_operation *operations[BATCH];
            pthread_t completers[BATCH];
            for (int k = 0; k < BATCH; k++) {
                AppleVZOperation *object = [[AppleVZOperation alloc] init];
                operations[k] = applevz_hand_over_handle(object);
                CHECK(pthread_create(&completers[k], NULL, complete_later, (__bridge_retained void *)object) == 0);
                announce(operations[k], channel, (uint64_t)(begin + i + k));
                if (k % 3 == 2)
                    applevz_operation_release(operations[k]);
            }
            for (int k = 0; k < BATCH; k++) {
                CHECK(pthread_join(completers[k], NULL) == 0);
                if (k % 3 == 2)
                    continue;
                // Completed and announced: it comes, without anything else being done.
                while (arrivals[begin + i + k] == 0)
                    sched_yield();
                applevz_operation_release(operations[k]);
            }
        }
    }
    return NULL;
}

static void *read_all(void *unused) {
    (void)unused;
    struct pollfd descriptor = {.fd = applevz_channel_descriptor(channel), .events = POLLIN};
    while (!finished) {
        // Woken by completions alone: were a wake lost, this would not come back in time.
        if (poll(&descriptor, 1, 100) <= 0)
            continue;
        uint64_t token;
        while (applevz_channel_next(channel, &token)) {
            CHECK(token < MOST);
            CHECK(atomic_fetch_add(&arrivals[token], 1) == 0);
            atomic_fetch_add(&arrived, 1);
        }
    }
    return NULL;
}

static void many_threads(void) {
    channel = channel_create();
    pthread_t readers[2], *threads = calloc((size_t)announcers, sizeof *threads);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&readers[i], NULL, read_all, NULL) == 0);
    for (int i = 0; i < announcers; i++)
        CHECK(pthread_create(&threads[i], NULL, announce_many, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < announcers; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    finished = true;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(readers[i], NULL) == 0);
    free(threads);
    CHECK(arrived >= announcers * rounds / 8 * 6);
    uint64_t token;
    CHECK(!applevz_channel_next(channel, &token));
    CHECK(!readable(channel));
    applevz_channel_release(channel);
}

/// The channel is released while operations of it complete and are released.
static void *complete_and_release(void *argument) {
    AppleVZOperation *object = (__bridge AppleVZOperation *)argument;
    [object completeWithError:nil];
    applevz_operation_release(argument);
    return NULL;
}

static void release_under_way(void) {
    for (int i = 0; i < rounds; i++) {
        @autoreleasepool {
            applevz_channel *own = channel_create();
            pthread_t threads[4];
            for (int k = 0; k < 4; k++) {
                applevz_operation *operation = applevz_hand_over_handle([[AppleVZOperation alloc] init]);
                announce(operation, own, (uint64_t)k);
                CHECK(pthread_create(&threads[k], NULL, complete_and_release, operation) == 0);
            }
            uint64_t token;
            applevz_channel_next(own, &token);
            applevz_channel_release(own);
            for (int k = 0; k < 4; k++)
                CHECK(pthread_join(threads[k], NULL) == 0);
        }
    }
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    announcers = atoi(arguments[1]);
    rounds = atoi(arguments[2]);
    CHECK(announcers * rounds <= MOST && rounds % 8 == 0);
    int before = dup(0);
    close(before);
    @autoreleasepool {
        both_orders();
        given_up();
        one_wake();
        channel_goes_first();
        many_threads();
        release_under_way();
    }
    CHECK(applevz_debug_live_handles() == 0);
    int after = dup(0);
    CHECK(after == before);
    return 0;
}
