// SPDX-License-Identifier: Apache-2.0
// Every ownership entry point by itself: how many references it takes and gives up.
#import "../checks.h"
#import "runtime_entry_points.h"
#include <pthread.h>

static void *newObject(void) {
    return (__bridge_retained void *)[Counted new];
}

static unsigned long retainCount(void *object) {
    Class class = object_getClass((__bridge id)object);
    IMP method = class_getMethodImplementation(class, sel_registerName("retainCount"));
    return ((unsigned long (*)(void *, SEL))(void (*)(void))method)(object, sel_registerName("retainCount"));
}

static void retainAndRelease(void) {
    void *object = newObject();
    CHECK(retainCount(object) == 1);
    CHECK(entry_retain(object) == object);
    CHECK(retainCount(object) == 2);
    entry_release(object);
    CHECK(retainCount(object) == 1);
    CHECK_LIVE(1);
    entry_release(object);
    CHECK_LIVE(0);
}

static void nothingIsDoneToNil(void) {
    CHECK(entry_retain(NULL) == NULL);
    entry_release(NULL);
    CHECK(entry_autorelease(NULL) == NULL);
    CHECK(entry_retainAutorelease(NULL) == NULL);
    CHECK(entry_autoreleaseReturnValue(NULL) == NULL);
    CHECK(entry_retainAutoreleasedReturnValue(NULL) == NULL);
    CHECK(entry_unsafeClaimAutoreleasedReturnValue(NULL) == NULL);
    CHECK(entry_retainBlock(NULL) == NULL);
}

static void handsToThePool(void) {
    void *pool = entry_autoreleasePoolPush();
    void *first = newObject();
    void *second = newObject();
    CHECK(entry_autorelease(first) == first && entry_autoreleaseReturnValue(second) == second);
    CHECK(retainCount(first) == 1 && retainCount(second) == 1);
    CHECK_LIVE(2);
    entry_autoreleasePoolPop(pool);
    CHECK_LIVE(0);
}

static void retainsAndHandsToThePool(void) {
    void *pool = entry_autoreleasePoolPush();
    void *first = newObject();
    void *second = newObject();
    CHECK(entry_retainAutorelease(first) == first && entry_retainAutoreleaseReturnValue(second) == second);
    CHECK(retainCount(first) == 2 && retainCount(second) == 2);
    entry_autoreleasePoolPop(pool);
    CHECK_LIVE(2);
    CHECK(retainCount(first) == 1 && retainCount(second) == 1);
    entry_release(first);
    entry_release(second);
    CHECK_LIVE(0);
}

static void claims(void) {
    void *pool = entry_autoreleasePoolPush();
    void *object = newObject();
    CHECK(entry_retainAutoreleasedReturnValue(entry_autoreleaseReturnValue(object)) == object);
    entry_autoreleasePoolPop(pool);
    CHECK_LIVE(1);
    CHECK(retainCount(object) == 1);

    pool = entry_autoreleasePoolPush();
    CHECK(entry_claimAutoreleasedReturnValue(entry_autoreleaseReturnValue(object)) == object);
    entry_autoreleasePoolPop(pool);
    CHECK(retainCount(object) == 1);

    pool = entry_autoreleasePoolPush();
    CHECK(entry_unsafeClaimAutoreleasedReturnValue(entry_autoreleaseReturnValue(object)) == object);
    entry_autoreleasePoolPop(pool);
    CHECK_LIVE(0);
}

static void storesStrongly(void) {
    void *first = newObject();
    void *second = newObject();
    void *variable = NULL;
    entry_storeStrong(&variable, first);
    CHECK(variable == first && retainCount(first) == 2);
    entry_storeStrong(&variable, first);
    CHECK(retainCount(first) == 2);
    entry_storeStrong(&variable, second);
    CHECK(variable == second && retainCount(first) == 1 && retainCount(second) == 2);
    entry_storeStrong(&variable, NULL);
    CHECK(variable == NULL && retainCount(second) == 1);
    entry_release(first);
    entry_release(second);
    CHECK_LIVE(0);
}

static void poolsNest(void) {
    void *outer = entry_autoreleasePoolPush();
    entry_autorelease(newObject());
    void *inner = entry_autoreleasePoolPush();
    entry_autorelease(newObject());
    CHECK_LIVE(2);
    entry_autoreleasePoolPop(inner);
    CHECK_LIVE(1);
    entry_autoreleasePoolPush();
    entry_autorelease(newObject());
    CHECK_LIVE(2);
    // The innermost pool is popped with the one around it, as after an exception.
    entry_autoreleasePoolPop(outer);
    CHECK_LIVE(0);
}

static void childrenAreReleasedWithTheirOwner(void) {
    @autoreleasepool {
        Counted *root = [Counted new];
        Counted *node = root;
        for (int i = 0; i < 100; i++) {
            node.child = [Counted new];
            node = node.child;
        }
        CHECK_LIVE(101);
    }
    CHECK_LIVE(0);
}

@interface Retainer : Counted
@end
@implementation Retainer
- (void)dealloc {
    // self is retained and released in here; that must not start a second deallocation.
    id strong = self;
    [strong alive];
    @autoreleasepool {
        NSArray *array = @[ strong ];
        CHECK([array count] == 1);
    }
}
@end

static void deallocMayRetainSelf(void) {
    @autoreleasepool {
        [Retainer new];
        CHECK_LIVE(0);
    }
    CHECK_LIVE(0);
}

static void *releaseManyTimes(void *object) {
    for (int i = 0; i < 20000; i++) {
        entry_retain(object);
        entry_release(object);
    }
    entry_release(object);
    return NULL;
}

static void threadsShareAnObject(void) {
    enum { threadCount = 4 };
    void *object = newObject();
    pthread_t threads[threadCount];
    for (int i = 0; i < threadCount; i++) {
        entry_retain(object);
        pthread_create(&threads[i], NULL, releaseManyTimes, object);
    }
    entry_release(object);
    for (int i = 0; i < threadCount; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_LIVE(0);
}

int main(void) {
    retainAndRelease();
    nothingIsDoneToNil();
    handsToThePool();
    retainsAndHandsToThePool();
    claims();
    storesStrongly();
    poolsNest();
    childrenAreReleasedWithTheirOwner();
    deallocMayRetainSelf();
    threadsShareAnObject();
    return 0;
}
