// SPDX-License-Identifier: Apache-2.0
// Classes whose superclass is loaded later, or has variables that its header does not show; categories; protocols.
#import "../checks.h"
#import "runtime_classes.h"

static int loads;
static int initializations;
static int categoryLoads;

@protocol Named <NSObject>
- (NSString *)name;
@optional
- (NSString *)nickname;
+ (int)rank;
@end

@protocol Titled <Named>
@property (nonatomic, copy, readonly) NSString *title;
@end

// Subclass of a class of another file, which has a class extension, which has a subclass in turn.
@interface LayoutDerived : LayoutBase <Titled> {
    double _second;
    Counted *_owned;
}
@end

@interface LayoutLeaf : LayoutDerived {
    char _third;
    long _fourth;
}
- (void)fill;
- (BOOL)isFilled;
@end

@implementation LayoutLeaf
- (void)fill {
    _third = 'x';
    _fourth = -1;
    _first = 'y';
}
- (BOOL)isFilled {
    return _third == 'x' && _fourth == -1 && _first == 'y';
}
@end

@interface LayoutDerived () {
    int _fromExtension;
}
@property (nonatomic) int extra;
@end

@implementation LayoutDerived
+ (void)load {
    loads++;
    // Whole ARC code in +load, before main.
    @autoreleasepool {
        NSMutableArray *array = [NSMutableArray array];
        [array addObject:[NSString stringWithFormat:@"%d", loads]];
        CHECK([array count] == 1);
    }
}
+ (void)initialize {
    if (self == [LayoutDerived class]) {
        initializations++;
    }
}
- (instancetype)init {
    self = [super init];
    if (self) {
        _second = 2.5;
        _owned = [Counted new];
        _fromExtension = 17;
    }
    return self;
}
- (NSString *)name {
    return [NSString stringWithFormat:@"%g %d %d", _second, _fromExtension, [_owned alive]];
}
- (NSString *)title {
    return @"title";
}
@end

@interface LayoutDerived (Added) <NSCopying>
- (int)added;
+ (int)addedToTheClass;
@end

@implementation LayoutDerived (Added)
+ (void)load {
    categoryLoads++;
}
- (int)added {
    return self.extra + 1;
}
+ (int)addedToTheClass {
    return 2;
}
- (id)copyWithZone:(NSZone *)zone {
    (void)zone;
    LayoutDerived *copy = [[[self class] alloc] init];
    copy.extra = self.extra;
    return copy;
}
@end

@interface NSString (RuntimeTest)
- (NSString *)twice;
@end

@implementation NSString (RuntimeTest)
- (NSString *)twice {
    return [self stringByAppendingString:self];
}
@end

// GNUstep's headers do not show what these have inside.
@interface Thread : NSThread {
    Counted *_one;
    long _mark;
}
@end

@implementation Thread
- (instancetype)init {
    self = [super init];
    if (self) {
        _one = [Counted new];
        _mark = 0x1234;
        [self setName:@"a name that NSThread keeps"];
    }
    return self;
}
- (long)mark {
    return _mark + [_one alive];
}
@end

// A root that nobody instantiates, and one method that is not there.
@interface Forwarder : NSObject
@property (nonatomic, strong) id target;
@end

@implementation Forwarder
- (NSMethodSignature *)methodSignatureForSelector:(SEL)selector {
    return [self.target methodSignatureForSelector:selector];
}
- (void)forwardInvocation:(NSInvocation *)invocation {
    [invocation invokeWithTarget:self.target];
}
@end

static void layout(void) {
    @autoreleasepool {
        LayoutLeaf *leaf = [LayoutLeaf new];
        [leaf fill];
        leaf.held = [Counted new];
        CHECK([leaf isFilled] && [leaf hiddenSum] == 10);
        CHECK([[leaf name] isEqualToString:@"2.5 17 0"]);
        CHECK(leaf->_first == 'y');
        // By the runtime, which has the offsets from another list than the code.
        [leaf setValue:@-2 forKey:@"fourth"];
        [leaf setValue:@'y' forKey:@"third"];
        CHECK(![leaf isFilled] && [[leaf valueForKey:@"fourth"] longValue] == -2);
        [leaf fill];
        CHECK([[leaf valueForKey:@"third"] charValue] == 'x' && [[leaf valueForKey:@"second"] doubleValue] == 2.5);
        CHECK(class_getInstanceSize([LayoutLeaf class]) > class_getInstanceSize([LayoutDerived class]));
        CHECK(class_getInstanceSize([LayoutDerived class]) > class_getInstanceSize([LayoutBase class]));
        CHECK_LIVE(2);
    }
    CHECK_LIVE(0);
    @autoreleasepool {
        Thread *thread = [Thread new];
        CHECK([thread mark] == 0x1234);
        CHECK([[thread name] isEqualToString:@"a name that NSThread keeps"]);
    }
    CHECK_LIVE(0);
}

static void categories(void) {
    @autoreleasepool {
        LayoutDerived *object = [LayoutDerived new];
        object.extra = 4;
        CHECK([object added] == 5 && [LayoutDerived addedToTheClass] == 2 && [[object copy] added] == 5);
        CHECK([[@"ab" twice] isEqualToString:@"abab"]);
        CHECK([[[NSMutableString stringWithString:@"c"] twice] isEqualToString:@"cc"]);
    }
    CHECK_LIVE(0);
    CHECK(loads == 1 && categoryLoads == 1 && initializations == 1);
}

static void protocols(void) {
    @autoreleasepool {
        Class class = [LayoutDerived class];
        CHECK([class conformsToProtocol:@protocol(Named)]);
        CHECK([class conformsToProtocol:@protocol(Titled)]);
        CHECK([class conformsToProtocol:@protocol(NSCopying)]);
        CHECK([[LayoutLeaf new] conformsToProtocol:@protocol(Titled)]);
        CHECK(![class conformsToProtocol:@protocol(NSCoding)]);
        CHECK(protocol_conformsToProtocol(@protocol(Titled), @protocol(Named)));
        CHECK(protocol_isEqual(@protocol(Named), objc_getProtocol("Named")));
        id<Titled> titled = [LayoutLeaf new];
        CHECK([titled.title isEqualToString:@"title"]);
        CHECK(![titled respondsToSelector:@selector(nickname)]);
        CHECK([titled respondsToSelector:@selector(name)]);
        CHECK(protocol_getMethodDescription(@protocol(Named), @selector(name), YES, YES).name != NULL);
    }
    CHECK_LIVE(0);
}

static void forwarding(void) {
    @autoreleasepool {
        Forwarder *forwarder = [Forwarder new];
        Counted *target = [Counted new];
        target.number = 12;
        forwarder.target = target;
        CHECK([(Counted *)(id)forwarder alive] == 12);
        BOOL caught = NO;
        @try {
            [(LayoutBase *)(id)target hiddenSum];
        } @catch (NSException *exception) {
            caught = [[exception name] isEqualToString:NSInvalidArgumentException];
        }
        CHECK(caught);
    }
    CHECK_LIVE(0);
}

static void fastEnumeration(void) {
    @autoreleasepool {
        NSMutableArray *array = [NSMutableArray array];
        for (int i = 0; i < 100; i++) {
            Counted *element = [Counted new];
            element.number = i;
            [array addObject:element];
        }
        int sum = 0;
        for (Counted *element in array) {
            sum += [element alive];
        }
        CHECK(sum == 4950);
        BOOL caught = NO;
        @try {
            for (Counted *element in array) {
                [array removeObject:element];
            }
        } @catch (NSException *exception) {
            caught = YES;
        }
        CHECK(caught);
        NSDictionary *dictionary = @{@"a" : @1, @"b" : @[ @2.5, @YES, @'c' ]};
        int keys = 0;
        for (NSString *key in dictionary) {
            keys += (int)[key length];
        }
        CHECK(keys == 2 && [dictionary[@"b"][0] doubleValue] == 2.5);
        NSData *json = [NSJSONSerialization dataWithJSONObject:dictionary options:0 error:NULL];
        CHECK([[NSJSONSerialization JSONObjectWithData:json options:0 error:NULL][@"a"] intValue] == 1);
    }
    CHECK_LIVE(0);
}

int main(void) {
    layout();
    categories();
    protocols();
    forwarding();
    fastEnumeration();
    return 0;
}
