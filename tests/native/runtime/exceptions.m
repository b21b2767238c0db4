// SPDX-License-Identifier: Apache-2.0
// Exceptions: who catches which, and that every strong reference of the frames they pass is given up.
#import "../checks.h"
#include <pthread.h>

@interface Failure : NSException
@end
@implementation Failure
@end

static void fail(void) __attribute__((noreturn, noinline));
static void fail(void) {
    @throw [[Failure alloc] initWithName:@"failure" reason:@"on purpose" userInfo:nil];
}

__attribute__((noinline)) static Counted *passThrough(int depth, Counted *argument) {
    Counted *local = [Counted new];
    __block Counted *shared = [Counted new];
    __weak Counted *reference = local;
    void (^block)(void) = ^{
        [argument alive];
        shared = argument;
    };
    block();
    if (depth == 0) {
        fail();
    }
    Counted *result = passThrough(depth - 1, local);
    [reference alive];
    return result;
}

static void referencesOfFramesAreReleased(void) {
    for (int i = 0; i < 200; i++) {
        @autoreleasepool {
            BOOL caught = NO;
            Counted *outside = [Counted new];
            @try {
                passThrough(10, outside);
            } @catch (Failure *failure) {
                caught = [[failure reason] isEqualToString:@"on purpose"];
            }
            CHECK(caught);
            CHECK_LIVE(1);
        }
        CHECK_LIVE(0);
    }
}

static void theRightHandlerCatches(void) {
    @autoreleasepool {
        int handler = 0;
        @try {
            @try {
                fail();
            } @catch (NSString *string) {
                handler = 1;
            }
        } @catch (NSException *exception) {
            handler = 2;
        } @catch (id anything) {
            handler = 3;
        }
        CHECK(handler == 2);
        handler = 0;
        @try {
            @throw @"a string";
        } @catch (NSException *exception) {
            handler = 1;
        } @catch (id anything) {
            handler = [anything isEqual:@"a string"] ? 2 : 3;
        }
        CHECK(handler == 2);
        handler = 0;
        @try {
            @throw [Counted new];
        } @catch (Failure *failure) {
            handler = 1;
        } @catch (Counted *counted) {
            handler = [counted alive] + 2;
        }
        CHECK(handler == 2);
        handler = 0;
        @try {
            @throw @5;
        } @catch (...) {
            handler = 1;
        }
        CHECK(handler == 1);
        @try {
            handler = 4;
        } @catch (id never) {
            handler = 5;
        }
        CHECK(handler == 4);
    }
    CHECK_LIVE(0);
}

static int finallyRuns(int kind) {
    Counted *kept = [Counted new];
    @try {
        if (kind == 0) {
            fail();
        }
        if (kind == 1) {
            return [kept alive] + 10;
        }
        kept = nil;
    } @catch (Failure *failure) {
        return 20;
    } @finally {
        atomic_fetch_add(&liveInstances, 1000);
    }
    return 30;
}

static void finallyAlwaysRuns(void) {
    @autoreleasepool {
        CHECK(finallyRuns(0) == 20);
        CHECK(finallyRuns(1) == 10);
        CHECK(finallyRuns(2) == 30);
        BOOL passed = NO;
        @try {
            @try {
                fail();
            } @finally {
                atomic_fetch_add(&liveInstances, 1000);
            }
        } @catch (Failure *failure) {
            passed = YES;
        }
        CHECK(passed);
    }
    CHECK_LIVE(4000);
    atomic_store(&liveInstances, 0);
}

static void throwingAgain(void) {
    @autoreleasepool {
        NSException *first = nil;
        NSException *second = nil;
        @try {
            @try {
                Counted *local = [Counted new];
                [local alive];
                fail();
            } @catch (Failure *failure) {
                first = failure;
                Counted *local = [Counted new];
                [local alive];
                @throw;
            }
        } @catch (NSException *exception) {
            second = exception;
        }
        CHECK(first != nil && first == second);
        @try {
            @try {
                fail();
            } @catch (Failure *failure) {
                @throw [Counted new];
            } @finally {
                second = nil;
            }
        } @catch (Counted *counted) {
            CHECK([counted alive] == 0 && second == nil);
        }
    }
    CHECK_LIVE(0);
}

static void fromFoundation(void) {
    @autoreleasepool {
        NSArray *array = @[ [Counted new] ];
        NSString *name = nil;
        @try {
            Counted *held = [array objectAtIndex:0];
            CHECK([[array objectAtIndex:5] alive] == [held alive]);
        } @catch (NSException *exception) {
            name = [exception name];
        }
        CHECK([name isEqualToString:NSRangeException]);
        // Through GNUstep's own frames, from a block and from a comparison that it calls.
        name = nil;
        @try {
            [array enumerateObjectsUsingBlock:^(id object, NSUInteger index, BOOL *stop) {
                CHECK([object alive] == 0 && index == 0 && stop != NULL);
                fail();
            }];
        } @catch (NSException *exception) {
            name = [exception name];
        }
        CHECK([name isEqualToString:@"failure"]);
        NSException *raised = nil;
        @try {
            [NSException raise:@"formatted" format:@"%d", 5];
        } @catch (NSException *exception) {
            raised = exception;
        }
        CHECK([[raised reason] isEqualToString:@"5"]);
    }
    CHECK_LIVE(0);
}

struct attempt {
    void *lock;
    bool *entered;
};

static void *enter(void *argument) {
    struct attempt *attempt = argument;
    @synchronized((__bridge id)attempt->lock) {
        *attempt->entered = true;
    }
    return NULL;
}

static void synchronizedIsLeft(void) {
    @autoreleasepool {
        Counted *lock = [Counted new];
        for (int i = 0; i < 3; i++) {
            @try {
                @synchronized(lock) {
                    @synchronized(lock) {
                        fail();
                    }
                }
            } @catch (Failure *failure) {
            }
        }
        bool entered = false;
        struct attempt attempt = {(__bridge void *)lock, &entered};
        pthread_t thread;
        pthread_create(&thread, NULL, enter, &attempt);
        pthread_join(thread, NULL);
        CHECK(entered);
    }
    CHECK_LIVE(0);
}

static void poolsOfPassedFramesAreEmptied(void) {
    @autoreleasepool {
        @try {
            @autoreleasepool {
                __autoreleasing Counted *pooled = [Counted new];
                [pooled alive];
                fail();
            }
        } @catch (Failure *failure) {
        }
    }
    CHECK_LIVE(0);
}

static void manyLeaveNothingBehind(void) {
    long before = 0;
    for (int i = 0; i < 60000; i++) {
        @autoreleasepool {
            @try {
                @throw @"thrown";
            } @catch (NSString *string) {
            }
        }
        if (i == 20000) {
            before = residentKilobytes();
        }
    }
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
    CHECK(residentKilobytes() - before < 1024);
#else
    (void)before;
#endif
}

int main(void) {
    referencesOfFramesAreReleased();
    theRightHandlerCatches();
    finallyAlwaysRuns();
    throwingAgain();
    fromFoundation();
    synchronizedIsLeft();
    poolsOfPassedFramesAreEmptied();
    manyLeaveNothingBehind();
    return 0;
}
