// SPDX-License-Identifier: Apache-2.0
// Before main: constructors of C send messages, to classes of this file and of one that is linked behind it, whatever
// their priority; +load has run by then.
#import "../checks.h"

@interface LinkedBehind : NSObject // in parts/runtime_initializers_behind.m
+ (int)loads;
- (NSString *)text;
@end

@interface Here : Counted
@property (nonatomic, copy) NSString *text;
@end

static int loadsOfHere;

@implementation Here
+ (void)load {
    loadsOfHere++;
}
@end

@interface NSString (Here)
- (NSString *)twice;
@end

@implementation NSString (Here)
- (NSString *)twice {
    return [self stringByAppendingString:self];
}
@end

static NSMutableArray *told;
static int before101, at101, byDefault;

static int sendsMessages(const char *name) {
    @autoreleasepool {
        if (told == nil)
            told = [NSMutableArray array];
        [told addObject:@(name)];
        Here *here = [Here new];
        here.text = [@"text" twice];
        return loadsOfHere == 1 && [LinkedBehind loads] == 1 && [here.text isEqualToString:@"texttext"] &&
               [[[LinkedBehind new] text] isEqualToString:@"behind"] && [here conformsToProtocol:@protocol(NSObject)];
    }
}

__attribute__((section(".init_array.00050"), used)) static void (*const first)(void);

static void first_constructor(void) {
    before101 = sendsMessages("50");
}
static void (*const first)(void) = first_constructor;

__attribute__((constructor(101))) static void prioritized(void) {
    at101 = sendsMessages("101");
}

__attribute__((constructor)) static void constructor(void) {
    byDefault = sendsMessages("default");
}

// A pool is not needed either.
__attribute__((constructor(65534))) static void withoutPool(void) {
    [told addObject:[NSString stringWithFormat:@"%d", 65534]];
}

int main(void) {
    @autoreleasepool {
        CHECK(before101 && at101 && byDefault);
        CHECK(([told isEqual:@[ @"50", @"101", @"65534", @"default" ]]));
        CHECK(loadsOfHere == 1 && [LinkedBehind loads] == 1);
        CHECK_LIVE(0);
    }
    return 0;
}
