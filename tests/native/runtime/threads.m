// SPDX-License-Identifier: Apache-2.0
// Threads that Foundation did not make: pools work on them, and they leave nothing behind.
#import "../checks.h"
#include <pthread.h>

static void *useFoundation(void *argument) {
    CHECK(argument == NULL);
    @autoreleasepool {
        NSError *error = [NSError errorWithDomain:@"domain" code:5 userInfo:@{@"key" : [Counted new]}];
        CHECK([[error localizedDescription] length] > 0);
        CHECK(![NSThread isMainThread]);
        [[NSThread currentThread] threadDictionary][@"mine"] = [Counted new];
        __autoreleasing Counted *pooled = [Counted new];
        [pooled alive];
    }
    return NULL;
}

static void *throwAndCatch(void *argument) {
    (void)argument;
    @autoreleasepool {
        @try {
            @throw [[NSException alloc] initWithName:@"name" reason:@"reason" userInfo:@{@"key" : [Counted new]}];
        } @catch (NSException *exception) {
            CHECK([[exception name] isEqualToString:@"name"]);
        }
    }
    return NULL;
}

// Objects made here, released there.
static void *releaseArgument(void *argument) {
    Counted *object = (__bridge_transfer Counted *)argument;
    [object alive];
    return NULL;
}

static void oneAfterTheOther(int count) {
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, useFoundation, NULL);
        pthread_join(thread, NULL);
    }
}

static void atOnce(void *(*body)(void *), bool passObject) {
    enum { threadCount = 8 };
    pthread_t threads[threadCount];
    for (int i = 0; i < threadCount; i++) {
        void *argument = passObject ? (__bridge_retained void *)[Counted new] : NULL;
        pthread_create(&threads[i], NULL, body, argument);
    }
    for (int i = 0; i < threadCount; i++) {
        pthread_join(threads[i], NULL);
    }
}

int main(void) {
    atOnce(useFoundation, false);
    CHECK_LIVE(0);
    atOnce(throwAndCatch, false);
    CHECK_LIVE(0);
    atOnce(releaseArgument, true);
    CHECK_LIVE(0);
    oneAfterTheOther(300);
    CHECK_LIVE(0);
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
    long before = residentKilobytes();
    oneAfterTheOther(1500);
    CHECK_LIVE(0);
    CHECK(residentKilobytes() - before < 512);
#endif
    return 0;
}
