// SPDX-License-Identifier: Apache-2.0
// Blocks that outlive their scope, as values and as objects.
#import "../checks.h"
#import <Block.h>

typedef int (^Function)(int);

__attribute__((noinline)) static Function adder(Counted *captured) {
    return ^(int more) {
        return [captured alive] + more;
    };
}

static void captures(void) {
    Function function;
    @autoreleasepool {
        Counted *captured = [Counted new];
        captured.number = 30;
        function = adder(captured);
    }
    CHECK_LIVE(1);
    CHECK(function(12) == 42);
    function = nil;
    CHECK_LIVE(0);
}

static void blocksCaptureBlocks(void) {
    Function outer;
    @autoreleasepool {
        Counted *captured = [Counted new];
        Function inner = ^(int value) {
            return [captured alive] + value;
        };
        Function middle = ^(int value) {
            return inner(value) * 2;
        };
        outer = ^(int value) {
            return middle(value) + inner(value);
        };
    }
    CHECK(outer(5) == 15);
    CHECK_LIVE(1);
    outer = nil;
    CHECK_LIVE(0);
}

static void sharedVariables(void) {
    void (^increment)(void);
    int (^read)(void);
    @autoreleasepool {
        __block int count = 5;
        __block Counted *object = [Counted new];
        __block struct {
            int values[20];
        } large = {{0}};
        increment = ^{
            count++;
            object = [Counted new];
            object.number = count;
            large.values[19] = count;
        };
        read = ^{
            return count + [object alive] + large.values[19];
        };
        increment();
        CHECK(count == 6 && large.values[19] == 6);
    }
    CHECK_LIVE(1);
    increment();
    CHECK(read() == 21);
    increment = nil;
    CHECK_LIVE(1);
    read = nil;
    CHECK_LIVE(0);
}

static void recursion(void) {
    @autoreleasepool {
        Counted *captured = [Counted new];
        __block __weak Function weakFactorial;
        Function factorial = ^(int n) {
            [captured alive];
            return n < 2 ? 1 : n * weakFactorial(n - 1);
        };
        weakFactorial = factorial;
        CHECK(factorial(5) == 120);
    }
    CHECK_LIVE(0);
}

static void blocksAreObjects(void) {
    NSMutableArray *array = [NSMutableArray array];
    @autoreleasepool {
        Counted *captured = [Counted new];
        captured.number = 3;
        for (int i = 0; i < 10; i++) {
            [array addObject:^(int value) {
                return value + i + [captured alive];
            }];
        }
        NSDictionary *dictionary = @{@"add" : ^(int value){
            return value + [captured alive];
    }
};
Function added = dictionary[@"add"];
CHECK(added(1) == 4);
id copy = [added copy];
CHECK(copy == (id)added && [copy isEqual:added] && [copy hash] == [added hash]);
CHECK([copy isKindOfClass:[NSObject class]]);
CHECK([copy isKindOfClass:NSClassFromString(@"NSBlock")]);
CHECK([NSStringFromClass([copy class]) isEqualToString:@"__NSMallocBlock__"]);
CHECK([[copy description] hasPrefix:@"<__NSMallocBlock__"]);
id global = ^{
};
CHECK([NSStringFromClass([global class]) isEqualToString:@"__NSGlobalBlock__"]);
CHECK([global copy] == global);
[array addObject:global];
[array removeLastObject];
}
CHECK_LIVE(1);
int sum = 0;
for (Function function in array) {
    sum += function(1);
}
CHECK(sum == 85);
@autoreleasepool {
    [array removeAllObjects];
}
CHECK_LIVE(0);
}

static void weakReferencesToBlocks(void) {
    __weak Function reference;
    @autoreleasepool {
        Counted *captured = [Counted new];
        Function function = ^(int value) {
            return value + [captured alive];
        };
        reference = function;
        CHECK(reference != nil && reference(3) == 3);
        function = nil;
    }
    CHECK(reference == nil);
    CHECK_LIVE(0);
    Function capturesNothing = ^(int value) {
        return value;
    };
    reference = capturesNothing;
    capturesNothing = nil;
    CHECK(reference(4) == 4); // it lives for ever
}

static void weakCaptures(void) {
    Function function;
    @autoreleasepool {
        Counted *captured = [Counted new];
        __weak Counted *reference = captured;
        function = ^(int value) {
            Counted *strong = reference;
            return strong ? value : -1;
        };
        CHECK(function(5) == 5);
    }
    CHECK_LIVE(0);
    CHECK(function(5) == -1);
}

static void explicitCopies(void) {
    @autoreleasepool {
        Counted *captured = [Counted new];
        void *copy = (__bridge void *)^{
            [captured alive];
        };
        copy = Block_copy(copy);
        void *again = Block_copy(copy);
        CHECK(copy == again);
        Block_release(again);
        ((__bridge void (^)(void))copy)();
        Block_release(copy);
    }
    CHECK_LIVE(0);
    CHECK(_Block_copy(NULL) == NULL);
    _Block_release(NULL);
}

static void foundationTakesBlocks(void) {
    @autoreleasepool {
        Counted *captured = [Counted new];
        __block int sum = 0;
        [@[ @1, @2, @3 ] enumerateObjectsUsingBlock:^(id object, NSUInteger index, BOOL *stop) {
            sum += [object intValue] + [captured alive];
            *stop = index == 1;
        }];
        CHECK(sum == 3);
        NSArray *sorted = [@[ @3, @1, @2 ] sortedArrayUsingComparator:^NSComparisonResult(id first, id second) {
            return [first compare:second];
        }];
        CHECK([sorted[0] intValue] == 1);
        NSOperationQueue *queue = [NSOperationQueue new];
        for (int i = 0; i < 20; i++) {
            NSBlockOperation *operation = [NSBlockOperation blockOperationWithBlock:^{
                @synchronized(captured) {
                    sum += [captured alive] + 1;
                }
            }];
            [queue addOperation:operation];
        }
        [queue waitUntilAllOperationsAreFinished];
        CHECK(sum == 23);
        id observer = [[NSNotificationCenter defaultCenter] addObserverForName:@"test"
                                                                        object:nil
                                                                         queue:nil
                                                                    usingBlock:^(NSNotification *notification) {
                                                                        sum += (int)[[notification name] length];
                                                                        [captured alive];
                                                                    }];
        [[NSNotificationCenter defaultCenter] postNotificationName:@"test" object:nil];
        CHECK(sum == 27);
        [[NSNotificationCenter defaultCenter] removeObserver:observer];
    }
}

int main(void) {
    @autoreleasepool {
        captures();
        blocksCaptureBlocks();
        sharedVariables();
        recursion();
        blocksAreObjects();
        weakReferencesToBlocks();
        weakCaptures();
        explicitCopies();
        foundationTakesBlocks();
    }
    return 0;
}
