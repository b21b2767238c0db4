// SPDX-License-Identifier: Apache-2.0
// Every ownership entry point by itself: how many references it takes and gives up.
#import "runtime_checks.h"
#include <pthread.h>

// As C functions, so that ARC adds nothing around the calls.
void *objc_retain(void *object);
void objc_release(void *object);
void *objc_autorelease(void *object);
void *objc_retainAutorelease(void *object);
void *objc_autoreleaseReturnValue(void *object);
void *objc_retainAutoreleaseReturnValue(void *object);
void *objc_retainAutoreleasedReturnValue(void *object);
void *objc_unsafeClaimAutoreleasedReturnValue(void *object);
void *objc_claimAutoreleasedReturnValue(void *object);
void objc_storeStrong(void **location, void *object);
void *objc_retainBlock(void *block);
void *objc_autoreleasePoolPush(void);
void objc_autoreleasePoolPop(void *pool);

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
    CHECK(objc_retain(object) == object);
    CHECK(retainCount(object) == 2);
    objc_release(object);
    CHECK(retainCount(object) == 1);
    CHECK_LIVE(1);
    objc_release(object);
    CHECK_LIVE(0);
}

static void nothingIsDoneToNil(void) {
    CHECK(objc_retain(NULL) == NULL);
    objc_release(NULL);
    CHECK(objc_autorelease(NULL) == NULL);
    CHECK(objc_retainAutorelease(NULL) == NULL);
    CHECK(objc_autoreleaseReturnValue(NULL) == NULL);
    CHECK(objc_retainAutoreleasedReturnValue(NULL) == NULL);
    CHECK(objc_unsafeClaimAutoreleasedReturnValue(NULL) == NULL);
    CHECK(objc_retainBlock(NULL) == NULL);
}

static void handsToThePool(void) {
    void *pool = objc_autoreleasePoolPush();
    void *first = newObject();
    void *second = newObject();
    CHECK(objc_autorelease(first) == first && objc_autoreleaseReturnValue(second) == second);
    CHECK(retainCount(first) == 1 && retainCount(second) == 1);
    CHECK_LIVE(2);
    objc_autoreleasePoolPop(pool);
    CHECK_LIVE(0);
}

static void retainsAndHandsToThePool(void) {
    void *pool = objc_autoreleasePoolPush();
    void *first = newObject();
    void *second = newObject();
    CHECK(objc_retainAutorelease(first) == first && objc_retainAutoreleaseReturnValue(second) == second);
    CHECK(retainCount(first) == 2 && retainCount(second) == 2);
    objc_autoreleasePoolPop(pool);
    CHECK_LIVE(2);
    CHECK(retainCount(first) == 1 && retainCount(second) == 1);
    objc_release(first);
    objc_release(second);
    CHECK_LIVE(0);
}

static void claims(void) {
    void *pool = objc_autoreleasePoolPush();
    void *object = newObject();
    CHECK(objc_retainAutoreleasedReturnValue(objc_autoreleaseReturnValue(object)) == object);
    objc_autoreleasePoolPop(pool);
    CHECK_LIVE(1);
    CHECK(retainCount(object) == 1);

    pool = objc_autoreleasePoolPush();
    CHECK(objc_claimAutoreleasedReturnValue(objc_autoreleaseReturnValue(object)) == object);
    objc_autoreleasePoolPop(pool);
    CHECK(retainCount(object) == 1);

    pool = objc_autoreleasePoolPush();
    CHECK(objc_unsafeClaimAutoreleasedReturnValue(objc_autoreleaseReturnValue(object)) == object);
    objc_autoreleasePoolPop(pool);
    CHECK_LIVE(0);
}

static void storesStrongly(void) {
    void *first = newObject();
    void *second = newObject();
    void *variable = NULL;
    objc_storeStrong(&variable, first);
    CHECK(variable == first && retainCount(first) == 2);
    objc_storeStrong(&variable, first);
    CHECK(retainCount(first) == 2);
    objc_storeStrong(&variable, second);
    CHECK(variable == second && retainCount(first) == 1 && retainCount(second) == 2);
    objc_storeStrong(&variable, NULL);
    CHECK(variable == NULL && retainCount(second) == 1);
    objc_release(first);
    objc_release(second);
    CHECK_LIVE(0);
}

static void poolsNest(void) {
    void *outer = objc_autoreleasePoolPush();
    objc_autorelease(newObject());
    void *inner = objc_autoreleasePoolPush();
    objc_autorelease(newObject());
    CHECK_LIVE(2);
    objc_autoreleasePoolPop(inner);
    CHECK_LIVE(1);
    objc_autoreleasePoolPush();
    objc_autorelease(newObject());
    CHECK_LIVE(2);
    // The innermost pool is popped with the one around it, as after an exception.
    objc_autoreleasePoolPop(outer);
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
        objc_retain(object);
        objc_release(object);
    }
    objc_release(object);
    return NULL;
}

static void threadsShareAnObject(void) {
    enum { threadCount = 4 };
    void *object = newObject();
    pthread_t threads[threadCount];
    for (int i = 0; i < threadCount; i++) {
        objc_retain(object);
        pthread_create(&threads[i], NULL, releaseManyTimes, object);
    }
    objc_release(object);
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
