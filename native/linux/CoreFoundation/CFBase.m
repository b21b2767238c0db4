// SPDX-License-Identifier: Apache-2.0
#import "types.h"

#import <objc/runtime.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void CFFatal(const char *function, const char *reason) {
    fprintf(stderr, "CoreFoundation: %s() %s\n", function, reason);
    abort();
}

_Noreturn void CFFatalNull(const char *function) {
    CFFatal(function, "was called with NULL");
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
    return (CFIndex)((NSUInteger (*)(CFTypeRef, SEL))(void (*)(void))method)(object, selector);
}

CFTypeID CFGetTypeID(CFTypeRef object) {
    CFRequire(object);
    id bridged = (__bridge id)object;
    // A boolean is a number, too, of a class of its own.
    if ([bridged class] == [@YES class]) {
        return CFTypeBoolean;
    }
    const struct {
        __unsafe_unretained Class class;
        CFTypeID type;
    } classes[] = {
        {[NSString class], CFTypeString}, {[NSDictionary class], CFTypeDictionary},
        {[NSError class], CFTypeError},   {[NSNumber class], CFTypeNumber},
        {[NSArray class], CFTypeArray},   {[NSData class], CFTypeData},
        {[NSURL class], CFTypeURL},       {[NSNull class], CFTypeNull},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if ([bridged isKindOfClass:classes[i].class]) {
            return classes[i].type;
        }
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
