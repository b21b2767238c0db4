// SPDX-License-Identifier: Apache-2.0
// Threads that have no autorelease pool have one all the same: nothing is written, and nothing is left when they have
// ended.
#import "../checks.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void autoreleaseOne(void) {
    __autoreleasing Counted *pooled = [Counted new];
    [pooled alive];
}

// Autoreleases two more as it goes, down to a depth.
@interface Chained : Counted
@end

@implementation Chained
- (void)dealloc {
    if (self.number > 0)
        for (int i = 0; i < 2; i++) {
            __autoreleasing Chained *next = [Chained new];
            next.number = self.number - 1;
        }
}
@end

static void *withoutPool(void *argument) {
    for (int i = 0; i < 1000; i++)
        autoreleaseOne();
    CHECK(atomic_load(&liveInstances) >= 1000);
    return argument;
}

static void *withPoolsAbove(void *argument) {
    autoreleaseOne();
    long before = atomic_load(&liveInstances);
    @autoreleasepool {
        autoreleaseOne();
        @autoreleasepool {
            autoreleaseOne();
        }
        CHECK_LIVE(before + 1);
    }
    CHECK_LIVE(before);
    autoreleaseOne();
    CHECK_LIVE(before + 1);
    return argument;
}

static void *whatAutoreleasesAsItGoes(void *argument) {
    __autoreleasing Chained *first = [Chained new];
    first.number = 8;
    return argument;
}

static void *foundationWithoutPool(void *argument) {
    NSString *text = [NSString stringWithFormat:@"%@ %d", [NSThread currentThread], 7];
    NSError *error = [NSError errorWithDomain:@"domain" code:5 userInfo:@{@"key" : [Counted new], @"text" : text}];
    CHECK([[error localizedDescription] length] > 0);
    NSData *data = [NSJSONSerialization dataWithJSONObject:@[ text ] options:0 error:NULL];
    CHECK(data.length > text.length);
    return argument;
}

static void *leavesByPthreadExit(void *argument) {
    autoreleaseOne();
    pthread_exit(argument);
}

__attribute__((unused)) static void *leavesByFoundationsExit(void *argument) {
    autoreleaseOne();
    [NSThread exit];
    return argument;
}

static pthread_key_t key;

static void autoreleaseAtTheEnd(void *argument) {
    (void)argument;
    autoreleaseOne();
}

static void *withAKey(void *argument) {
    autoreleaseOne();
    pthread_setspecific(key, &key);
    return argument;
}

static void *withAKeyAlone(void *argument) {
    pthread_setspecific(key, &key);
    return argument;
}

static void run(void *(*body)(void *)) {
    long before = atomic_load(&liveInstances);
    pthread_t thread;
    pthread_create(&thread, NULL, body, NULL);
    pthread_join(thread, NULL);
    CHECK_LIVE(before);
}

@interface Work : NSObject
- (void)work:(id)argument;
@end

@implementation Work
- (void)work:(id)argument {
    (void)argument;
    autoreleaseOne();
}
@end

// Somebody keeps Foundation's object for the thread; what was autoreleased there does not wait for it.
static void aThreadThatIsKept(void) {
    NSThread *thread;
    @autoreleasepool {
        thread = [[NSThread alloc] initWithTarget:[Work new] selector:@selector(work:) object:nil];
        [thread start];
        while (!thread.isFinished || atomic_load(&liveInstances) > 0)
            usleep(1000);
    }
    CHECK_LIVE(0);
}

// The main thread's stay, as on macOS, and a child that ends does not release the objects of its parent.
static void theMainThread(void) {
    autoreleaseOne();
    @autoreleasepool {
        autoreleaseOne();
    }
    CHECK_LIVE(1);
    pid_t child = fork();
    if (child == 0) {
        CHECK_LIVE(1);
        exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK_LIVE(1);
}

int main(void) {
    pthread_key_create(&key, autoreleaseAtTheEnd);
    run(withoutPool);
    run(withPoolsAbove);
    run(whatAutoreleasesAsItGoes);
    run(foundationWithoutPool);
    run(leavesByPthreadExit);
#if !__has_feature(address_sanitizer)
    run(leavesByFoundationsExit); // the sanitizer does not see that it leaves the frames above
#endif
    run(withAKey);
    run(withAKeyAlone);
    aThreadThatIsKept();
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
    for (int i = 0; i < 200; i++)
        run(foundationWithoutPool);
    long before = residentKilobytes();
    for (int i = 0; i < 1000; i++)
        run(foundationWithoutPool);
    CHECK(residentKilobytes() - before < 512);
#endif
    theMainThread();
    return 0;
}
