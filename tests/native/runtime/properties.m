// SPDX-License-Identifier: Apache-2.0
// Synthesized properties of every kind keep what they say they keep.
#import "../checks.h"
#include <pthread.h>

struct Rectangle {
    double x, y, width, height;
};

@interface Holder : NSObject
@property (strong) Counted *atomicStrong;
@property (nonatomic, strong) Counted *plainStrong;
@property (copy) NSString *atomicCopy;
@property (nonatomic, copy) NSArray *plainCopy;
@property (weak) Counted *weakReference;
@property (nonatomic, weak) Counted *plainWeak;
@property (unsafe_unretained) Counted *unretained;
@property (copy) int (^block)(int);
@property (nonatomic, copy) id (^plainBlock)(void);
@property struct Rectangle atomicRectangle;
@property (nonatomic) long double wide;
@property (nonatomic, getter=isOn) BOOL on;
@property (readonly) Counted *readOnly;
@property (class, strong) Counted *shared;
@end

static Counted *sharedCounted;

@implementation Holder
@synthesize readOnly = _somethingElse;
+ (Counted *)shared {
    return sharedCounted;
}
+ (void)setShared:(Counted *)shared {
    sharedCounted = shared;
}
- (instancetype)init {
    self = [super init];
    if (self) {
        _somethingElse = [Counted new];
    }
    return self;
}
@end

static void strongProperties(Holder *holder) {
    @autoreleasepool {
        holder.atomicStrong = [Counted new];
        holder.plainStrong = holder.atomicStrong;
        holder.atomicStrong = [Counted new];
        holder.atomicStrong = holder.atomicStrong;
        [holder.plainStrong alive];
    }
    CHECK_LIVE(2);
    holder.plainStrong = nil;
    CHECK_LIVE(1);
    @autoreleasepool {
        [holder.atomicStrong alive];
        holder.atomicStrong = nil;
    }
    CHECK_LIVE(0);
}

static void copiedProperties(Holder *holder) {
    @autoreleasepool {
        NSMutableString *text = [NSMutableString stringWithString:@"one"];
        holder.atomicCopy = text;
        [text appendString:@" two"];
        CHECK([holder.atomicCopy isEqualToString:@"one"]);
        NSMutableArray *array = [NSMutableArray arrayWithObject:[Counted new]];
        holder.plainCopy = array;
        [array removeAllObjects];
        CHECK([holder.plainCopy count] == 1);
    }
    CHECK_LIVE(1);
    holder.plainCopy = nil;
    CHECK_LIVE(0);
}

static void weakProperties(Holder *holder) {
    @autoreleasepool {
        Counted *referent = [Counted new];
        holder.weakReference = referent;
        holder.plainWeak = referent;
        CHECK(holder.weakReference == referent && holder.plainWeak == referent);
    }
    CHECK(holder.weakReference == nil && holder.plainWeak == nil);
    CHECK_LIVE(0);
}

static void blockProperties(Holder *holder) {
    @autoreleasepool {
        Counted *captured = [Counted new];
        captured.number = 40;
        holder.block = ^(int more) {
            return [captured alive] + more;
        };
        holder.plainBlock = ^id {
            return captured;
        };
    }
    CHECK_LIVE(1);
    @autoreleasepool {
        CHECK(holder.block(2) == 42);
        CHECK([holder.plainBlock() alive] == 40);
    }
    holder.block = nil;
    holder.plainBlock = nil;
    CHECK_LIVE(0);
}

static void plainValues(Holder *holder) {
    holder.atomicRectangle = (struct Rectangle){1, 2, 3, 4};
    CHECK(holder.atomicRectangle.height == 4 && holder.atomicRectangle.x == 1);
    holder.wide = 0.1L;
    CHECK(holder.wide == 0.1L);
    holder.on = YES;
    CHECK(holder.isOn);
    [holder setValue:@NO forKey:@"on"];
    CHECK(!holder.on);
}

static void *readAndWrite(void *argument) {
    Holder *holder = (__bridge Holder *)argument;
    for (int i = 0; i < 5000; i++) {
        @autoreleasepool {
            Counted *next = [Counted new];
            next.number = 7;
            holder.atomicStrong = next;
            CHECK([holder.atomicStrong alive] == 7);
            double value = i;
            holder.atomicRectangle = (struct Rectangle){value, value, value, value};
            struct Rectangle read = holder.atomicRectangle;
            CHECK(read.x == read.y && read.x == read.width && read.x == read.height);
        }
    }
    return NULL;
}

static void atomicPropertiesUnderThreads(Holder *holder) {
    enum { threadCount = 4 };
    pthread_t threads[threadCount];
    holder.atomicRectangle = (struct Rectangle){0, 0, 0, 0};
    for (int i = 0; i < threadCount; i++) {
        pthread_create(&threads[i], NULL, readAndWrite, (__bridge void *)holder);
    }
    for (int i = 0; i < threadCount; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_LIVE(1);
    holder.atomicStrong = nil;
    CHECK_LIVE(0);
}

int main(void) {
    @autoreleasepool {
        @autoreleasepool {
            CHECK([[[Holder new] readOnly] alive] == 0);
        }
        CHECK_LIVE(0);
        Holder.shared = [Counted new];
        @autoreleasepool {
            [Holder.shared alive];
        }
        CHECK_LIVE(1);
        Holder.shared = nil;
        CHECK_LIVE(0);
        Holder *holder = [Holder new];
        atomic_store(&liveInstances, 0); // the holder's own one aside
        strongProperties(holder);
        copiedProperties(holder);
        weakProperties(holder);
        blockProperties(holder);
        plainValues(holder);
        atomicPropertiesUnderThreads(holder);
        atomic_store(&liveInstances, 1);
    }
    CHECK_LIVE(0);
    return 0;
}
