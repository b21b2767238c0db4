// SPDX-License-Identifier: Apache-2.0
// Weak references on one thread: when they are nil, and every entry point by itself.
#import "../checks.h"
#import "runtime_entry_points.h"

static void *newObject(void) {
    return (__bridge_retained void *)[Counted new];
}

static void entryPoints(void) {
    @autoreleasepool {
        void *object = newObject();
        void *garbage = (void *)0x1234; // what is there before objc_initWeak means nothing
        CHECK(entry_initWeak(&garbage, object) == object && garbage == object);
        void *loaded = entry_loadWeakRetained(&garbage);
        CHECK(loaded == object);
        entry_release(loaded);
        CHECK(entry_loadWeak(&garbage) == object);

        void *copy = (void *)0x1234;
        entry_copyWeak(&copy, &garbage);
        CHECK(copy == object && garbage == object);
        void *moved = (void *)0x1234;
        entry_moveWeak(&moved, &garbage);
        CHECK(moved == object && garbage == NULL);

        void *other = newObject();
        CHECK(entry_storeWeak(&copy, other) == other);
        CHECK(entry_storeWeak(&copy, other) == other);
        entry_release(other);
        CHECK(copy == NULL && entry_loadWeakRetained(&copy) == NULL);
        CHECK(entry_storeWeak(&copy, object) == object);
        entry_destroyWeak(&copy);
        copy = (void *)0x1234; // no longer a reference: nobody may write here
        entry_release(object);
        CHECK_LIVE(1); // in the pool, since objc_loadWeak
        CHECK(copy == (void *)0x1234);
        CHECK(moved == object);
        entry_destroyWeak(&moved);

        void *empty = NULL;
        CHECK(entry_initWeak(&empty, NULL) == NULL && entry_loadWeak(&empty) == NULL);
        entry_copyWeak(&copy, &empty);
        CHECK(copy == NULL);
        entry_destroyWeak(&empty);
    }
    CHECK_LIVE(0);
}

static void zeroedWithTheObject(void) {
    __weak Counted *reference;
    @autoreleasepool {
        Counted *object = [Counted new];
        reference = object;
        CHECK(reference == object);
    }
    CHECK(reference == nil);
    CHECK_LIVE(0);
    reference = [Counted new].child;
    CHECK(reference == nil);
}

@interface Node : Counted
@property (nonatomic, weak) Node *parent;
@property (nonatomic, strong) NSMutableArray<Node *> *children;
@end

static BOOL sawNil;
static __weak Node *formedInDealloc;

@implementation Node
- (void)dealloc {
    // The children still exist here, their parent does not any more.
    for (Node *child in _children) {
        sawNil = child.parent == nil;
    }
    // A block that captures self weakly, in -dealloc, as library code does without knowing where it runs.
    __weak Node *weakSelf = self;
    void (^block)(void) = ^{
        CHECK(weakSelf == nil);
    };
    block();
    formedInDealloc = self; // to be nil for those who look later; the optimizer knows better than to look here
}
@end

static void nilInsideDealloc(void) {
    @autoreleasepool {
        Node *parent = [Node new];
        parent.children = [NSMutableArray array];
        for (int i = 0; i < 3; i++) {
            Node *child = [Node new];
            child.parent = parent;
            [parent.children addObject:child];
            CHECK(child.parent == parent);
        }
        CHECK_LIVE(4);
    }
    CHECK(sawNil && formedInDealloc == nil);
    CHECK_LIVE(0);
}

static void manyReferences(void) {
    enum { count = 3000 };
    static __weak Counted *references[count];
    @autoreleasepool {
        NSMutableArray *objects = [NSMutableArray array];
        for (int i = 0; i < count; i++) {
            if (i % 10 == 0) {
                [objects addObject:[Counted new]];
            }
            references[i] = [objects lastObject];
        }
        // To one object all of them, away again, and back.
        Counted *one = objects[0];
        for (int i = 0; i < count; i++) {
            references[i] = one;
        }
        for (int i = 0; i < count; i += 2) {
            references[i] = objects[(NSUInteger)i / 10];
        }
        for (int i = 0; i < count; i++) {
            CHECK(references[i] == (i % 2 ? one : objects[(NSUInteger)i / 10]));
        }
        [objects removeObjectsInRange:NSMakeRange(1, [objects count] - 1)];
        one = nil;
    }
    CHECK_LIVE(0);
    for (int i = 0; i < count; i++) {
        CHECK(references[i] == nil);
    }
}

static void objectsThatLiveForEver(void) {
    @autoreleasepool {
        __weak id string = @"constant";
        __weak id class = [Counted class];
        __weak id null = [NSNull null];
        __weak id protocol = @protocol(NSCopying);
        for (int i = 0; i < 100; i++) {
            CHECK([string isEqual:@"constant"] && class == [Counted class] && null == [NSNull null]);
            CHECK(protocol == @protocol(NSCopying));
        }
    }
}

// Classes of Foundation that override -release, -retain or both and call NSObject's.
static void classesWithOwnRelease(void) {
    __weak id date;
    __weak id path;
    __weak id bundle;
    __weak id number;
    __weak id mutableString;
    @autoreleasepool {
        id keptDate = [[NSDate alloc] init];
        id keptPath = [[NSIndexPath alloc] initWithIndex:4711];
        id keptBundle = [[NSBundle alloc] initWithPath:@"/tmp"];
        id keptNumber = [[NSNumber alloc] initWithDouble:4711.5];
        id keptString = [[NSMutableString alloc] initWithString:@"text"];
        date = keptDate;
        path = keptPath;
        bundle = keptBundle;
        number = keptNumber;
        mutableString = keptString;
        CHECK(date == keptDate && path == keptPath && bundle == keptBundle && number == keptNumber);
        CHECK(mutableString == keptString);
    }
    CHECK(date == nil && path == nil && number == nil && mutableString == nil && bundle == nil);
}

static void collectionsOfWeakReferences(void) {
    // The variables move with what holds them.
    @autoreleasepool {
        NSMutableArray *blocks = [NSMutableArray array];
        @autoreleasepool {
            Counted *object = [Counted new];
            for (int i = 0; i < 50; i++) {
                __weak Counted *reference = object;
                [blocks addObject:^id {
                    return reference;
                }];
            }
            for (id (^block)(void) in blocks) {
                CHECK(block() == object);
            }
        }
        CHECK_LIVE(0);
        for (id (^block)(void) in blocks) {
            CHECK(block() == nil);
        }
    }
}

int main(void) {
    entryPoints();
    zeroedWithTheObject();
    nilInsideDealloc();
    manyReferences();
    objectsThatLiveForEver();
    classesWithOwnRelease();
    collectionsOfWeakReferences();
    return 0;
}
