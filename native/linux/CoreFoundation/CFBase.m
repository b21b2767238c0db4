// SPDX-License-Identifier: Apache-2.0
#import "types.h"

#import <objc/runtime.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void CFFatalNull(const char *function) {
    fprintf(stderr, "CoreFoundation: %s() was called with NULL\n", function);
    abort();
}

CFTypeRef CFRetain(CFTypeRef object) {
    CFRequire(object);
    return (__bridge_retained CFTypeRef)(__bridge id)object;
}

void CFRelease(CFTypeRef object) {
    CFRequire(object);
    (void)(__bridge_transfer id)object;
}

CFTypeRef CFAutorelease(CFTypeRef object) {
    CFRequire(object);
    __autoreleasing id autoreleased = (__bridge_transfer id)object;
    return (__bridge CFTypeRef)autoreleased;
}

CFIndex CFGetRetainCount(CFTypeRef object) {
    CFRequire(object);
    // ARC does not let -retainCount be written down.
    SEL selector = sel_registerName("retainCount");
    IMP method = class_getMethodImplementation(object_getClass((__bridge id)object), selector);
    return (CFIndex)((NSUInteger(*)(CFTypeRef, SEL))(void (*)(void))method)(object, selector);
}

CFTypeID CFGetTypeID(CFTypeRef object) {
    CFRequire(object);
    id bridged = (__bridge id)object;
    if ([bridged isKindOfClass:[NSString class]]) {
        return CFTypeString;
    }
    if ([bridged isKindOfClass:[NSDictionary class]]) {
        return CFTypeDictionary;
    }
    if ([bridged isKindOfClass:[NSError class]]) {
        return CFTypeError;
    }
    return CFTypeOther;
}

Boolean CFEqual(CFTypeRef first, CFTypeRef second) {
    CFRequire(first);
    CFRequire(second);
    return first == second || [(__bridge id)first isEqual:(__bridge id)second];
}

CFHashCode CFHash(CFTypeRef object) {
    CFRequire(object);
    return [(__bridge id)object hash];
}

CFStringRef CFCopyDescription(CFTypeRef object) {
    CFRequire(object);
    @autoreleasepool {
        return (__bridge_retained CFStringRef)[(__bridge id)object description];
    }
}
