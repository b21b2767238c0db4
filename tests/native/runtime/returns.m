// SPDX-License-Identifier: Apache-2.0
// Objects that methods and functions return, by every way there is to return one, live as long as they are wanted and
// no longer.
#import "../checks.h"

@interface Maker : NSObject
@end

@implementation Maker
+ (Counted *)autoreleased {
    Counted *made = [Counted new];
    return made;
}
+ (Counted *)newOwned {
    return [Counted new];
}
+ (Counted *)throughFrames:(int)depth {
    return depth ? [self throughFrames:depth - 1] : [self autoreleased];
}
+ (BOOL)makeInto:(Counted *__autoreleasing *)result {
    *result = [Counted new];
    return NO;
}
- (Counted *)copyCounted __attribute__((ns_returns_retained)) {
    return [Counted new];
}
- (nullable Counted *)nothing {
    return nil;
}
@end

__attribute__((noinline)) static Counted *returned(void) {
    return [Maker autoreleased];
}

__attribute__((noinline)) static Counted *returnedRetained(void) __attribute__((ns_returns_retained));
static Counted *returnedRetained(void) {
    return [Maker autoreleased];
}

static void consume(__attribute__((ns_consumed)) Counted *object) {
    CHECK([object alive] == 0);
}

int main(void) {
    @autoreleasepool {
        Counted *kept = nil;
        @autoreleasepool {
            kept = [Maker autoreleased];
            CHECK([kept alive] == 0);
        }
        CHECK([kept alive] == 0);
        CHECK_LIVE(1);
        kept = nil;
        CHECK_LIVE(0);

        @autoreleasepool {
            [Maker autoreleased];
            [Maker throughFrames:20];
            returned();
        }
        CHECK_LIVE(0);

        @autoreleasepool {
            Counted *owned = [Maker newOwned];
            owned = returnedRetained();
            owned = [[Maker new] copyCounted];
            owned = [Maker throughFrames:5];
            [owned alive];
        }
        CHECK_LIVE(0);

        @autoreleasepool {
            consume([Counted new]);
            consume(returned());
            consume(nil);
        }
        CHECK_LIVE(0);

        Counted *result = nil;
        @autoreleasepool {
            CHECK(![Maker makeInto:&result]);
            [result alive];
        }
        [result alive];
        CHECK_LIVE(1);
        result = nil;
        CHECK_LIVE(0);

        CHECK([[Maker new] nothing] == nil);

        // A loop without a pool keeps, one with a pool does not.
        for (int i = 0; i < 1000; i++) {
            @autoreleasepool {
                Counted *one = [Maker autoreleased];
                id array = @[ one, [Maker autoreleased] ];
                CHECK([array count] == 2);
            }
            CHECK_LIVE(0);
        }

        // Bridging casts move the reference, or do not.
        @autoreleasepool {
            void *raw = (__bridge_retained void *)[Maker autoreleased];
            CHECK_LIVE(1);
            Counted *borrowed = (__bridge Counted *)raw;
            [borrowed alive];
            borrowed = nil;
            CHECK_LIVE(1);
            Counted *taken = (__bridge_transfer Counted *)raw;
            [taken alive];
        }
        CHECK_LIVE(0);

        // Results that are no objects, of nil too.
        Counted *none = nil;
        CHECK([none alive] == 0);
        CHECK([(NSString *)(id)none rangeOfString:@"x"].length == 0);
        CHECK([(NSNumber *)(id)none doubleValue] == 0.0);
    }
    return 0;
}
