// SPDX-License-Identifier: Apache-2.0
// A shared library with its own copy of the runtime layer. test_native_runtime.py builds it twice, with two names for
// its class, and loads both into one process that knows nothing of Objective-C.
#import <CoreFoundation/CoreFoundation.h>
#import <Foundation/Foundation.h>
#include <stdatomic.h>

#define EXPORT __attribute__((visibility("default")))

static atomic_long live;

@interface CLASS_NAME : NSObject
@property (nonatomic, copy) NSString *name;
@end

@implementation CLASS_NAME
- (instancetype)init {
    self = [super init];
    atomic_fetch_add(&live, 1);
    return self;
}
- (void)dealloc {
    atomic_fetch_sub(&live, 1);
}
@end

EXPORT long library_live(void) {
    return atomic_load(&live);
}

EXPORT CFErrorRef library_make_error(long code) CF_RETURNS_RETAINED {
    @autoreleasepool {
        return (__bridge_retained CFErrorRef)[NSError errorWithDomain:@"library"
                                                                 code:code
                                                             userInfo:@{@"object" : [CLASS_NAME new]}];
    }
}

// Reads errors of the other library's and releases them; -1 if one is not as it was made.
EXPORT long library_consume_errors(CFErrorRef (*make)(long), long count) {
    for (long i = 0; i < count; i++) {
        CFErrorRef error = make(i);
        if (CFErrorGetCode(error) != i || !CFEqual(CFErrorGetDomain(error), CFSTR("library"))) {
            return -1;
        }
        CFRelease(error);
    }
    return count;
}

static __weak id watched;

EXPORT void library_watch(CFTypeRef object) {
    watched = (__bridge id)object;
}

EXPORT bool library_sees_watched(void) {
    @autoreleasepool {
        return watched != nil;
    }
}

EXPORT void library_release(CFTypeRef object) {
    CFRelease(object);
}

EXPORT CFTypeRef library_make_block(int value) CF_RETURNS_RETAINED {
    @autoreleasepool {
        CLASS_NAME *captured = [CLASS_NAME new];
        id block = ^(int more) {
            return captured ? value + more : -1;
        };
        return (__bridge_retained CFTypeRef)block;
    }
}

EXPORT int library_call_block(CFTypeRef block, int argument) {
    @autoreleasepool {
        NSArray *array = @[ (__bridge id)block, [(__bridge id)block copy] ];
        int (^function)(int) = array[1];
        return function(argument);
    }
}

// Foundation keeps a block that it is given on the stack.
EXPORT int library_run_operation(int value) {
    @autoreleasepool {
        CLASS_NAME *captured = [CLASS_NAME new];
        __block int result = 0;
        NSMutableArray *operations = [NSMutableArray array];
        for (int i = 0; i < 5; i++) {
            [operations addObject:[NSBlockOperation blockOperationWithBlock:^{
                            result += captured ? value : -1;
                        }]];
        }
        for (NSBlockOperation *operation in operations) {
            [operation start];
        }
        return result;
    }
}

EXPORT void library_throw(void) {
    @throw [NSException exceptionWithName:@"library" reason:@"thrown" userInfo:@{@"object" : [CLASS_NAME new]}];
}

// 1: caught as what it is; 2: as something else; 0: not at all.
EXPORT int library_catch(void (*function)(void)) {
    @autoreleasepool {
        @try {
            @try {
                function();
            } @catch (NSString *string) {
                return 2;
            }
        } @catch (id exception) {
            return [[exception name] isEqualToString:@"library"] ? 1 : 2;
        }
        return 0;
    }
}

EXPORT long library_use_foundation(void) {
    @autoreleasepool {
        NSString *text = [NSString stringWithFormat:@"%@ %@ %@ %.2f", [NSDate date], [NSProcessInfo processInfo],
                                                    [NSLocale currentLocale], 0.5];
        NSData *json = [NSJSONSerialization dataWithJSONObject:@{@"text" : text} options:0 error:NULL];
        NSError *error = nil;
        [[NSFileManager defaultManager] attributesOfItemAtPath:@"/nonexistent" error:&error];
        return (long)[json length] + (long)[[error localizedDescription] length];
    }
}
