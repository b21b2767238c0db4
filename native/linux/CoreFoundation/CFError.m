// SPDX-License-Identifier: Apache-2.0
// Each function that asks the error for a text has a pool of its own: these are called from threads and at times,
// from a finalizer say, where nobody has one.
#import "types.h"

CFTypeID CFErrorGetTypeID(void) {
    return CFTypeError;
}

CFErrorRef CFErrorCreate(CFAllocatorRef allocator, CFErrorDomain domain, CFIndex code, CFDictionaryRef userInfo) {
    (void)allocator;
    CFRequire(domain);
    @autoreleasepool {
        return (__bridge_retained CFErrorRef)[[NSError alloc] initWithDomain:(__bridge NSString *)domain
                                                                        code:code
                                                                    userInfo:(__bridge NSDictionary *)userInfo];
    }
}

CFErrorDomain CFErrorGetDomain(CFErrorRef error) {
    CFRequire(error);
    return (__bridge CFErrorDomain)[(__bridge NSError *)error domain];
}

CFIndex CFErrorGetCode(CFErrorRef error) {
    CFRequire(error);
    return [(__bridge NSError *)error code];
}

CFDictionaryRef CFErrorCopyUserInfo(CFErrorRef error) {
    CFRequire(error);
    @autoreleasepool {
        NSDictionary *userInfo = [(__bridge NSError *)error userInfo];
        return (__bridge_retained CFDictionaryRef)userInfo;
    }
}

CFStringRef CFErrorCopyDescription(CFErrorRef error) {
    CFRequire(error);
    @autoreleasepool {
        return (__bridge_retained CFStringRef)[(__bridge NSError *)error localizedDescription];
    }
}

CFStringRef CFErrorCopyFailureReason(CFErrorRef error) {
    CFRequire(error);
    @autoreleasepool {
        return (__bridge_retained CFStringRef)[(__bridge NSError *)error localizedFailureReason];
    }
}

CFStringRef CFErrorCopyRecoverySuggestion(CFErrorRef error) {
    CFRequire(error);
    @autoreleasepool {
        return (__bridge_retained CFStringRef)[(__bridge NSError *)error localizedRecoverySuggestion];
    }
}
