// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>
#import <Security/SecTask.h>

/// What a SecTaskRef stands for.
@interface SecTask : NSObject
- (nullable id)valueForEntitlement:(NSString *)entitlement error:(NSError *_Nullable *_Nonnull)error;
@end

@implementation SecTask

- (id)valueForEntitlement:(NSString *)entitlement error:(NSError **)error {
    (void)entitlement, (void)error;
    return @YES;
}

@end

SecTaskRef SecTaskCreateFromSelf(CFAllocatorRef allocator) {
    (void)allocator;
    return (__bridge_retained SecTaskRef)[[SecTask alloc] init];
}

CFTypeRef SecTaskCopyValueForEntitlement(SecTaskRef task, CFStringRef entitlement, CFErrorRef *error) {
    @autoreleasepool {
        NSError *failure = nil;
        id value = [(__bridge SecTask *)task valueForEntitlement:(__bridge NSString *)entitlement error:&failure];
        if (value == nil && error != NULL)
            *error = (__bridge_retained CFErrorRef)failure;
        return (__bridge_retained CFTypeRef)value;
    }
}
