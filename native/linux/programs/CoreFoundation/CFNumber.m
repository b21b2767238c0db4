// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>
#import <objc/message.h>
#import <objc/runtime.h>
#include <math.h>

// The names' declarations are of constants, and these are made when the library is loaded.
CF_EXPORT CFBooleanRef true_object __asm__("kCFBooleanTrue");
CF_EXPORT CFBooleanRef false_object __asm__("kCFBooleanFalse");
CF_EXPORT CFNullRef null_object __asm__("kCFNull");
CFBooleanRef true_object, false_object;
CFNullRef null_object;

// With selectors by their names: those that this file's module brings may not be registered yet.
__attribute__((constructor)) static void make_constants(void) {
    @autoreleasepool {
        Class number = objc_getRequiredClass("NSNumber"), null = objc_getRequiredClass("NSNull");
        SEL of_boolean = sel_registerName("numberWithBool:"), the_one = sel_registerName("null");
        id (*make_boolean)(Class, SEL, BOOL) =
            (id (*)(Class, SEL, BOOL))(void (*)(void))objc_msg_lookup(number, of_boolean);
        id (*make_null)(Class, SEL) = (id (*)(Class, SEL))(void (*)(void))objc_msg_lookup(null, the_one);
        true_object = (__bridge_retained CFBooleanRef)make_boolean(number, of_boolean, YES);
        false_object = (__bridge_retained CFBooleanRef)make_boolean(number, of_boolean, NO);
        null_object = (__bridge_retained CFNullRef)make_null(null, the_one);
    }
}

CFTypeID CFNullGetTypeID(void) {
    return CFTypeNull;
}

CFTypeID CFBooleanGetTypeID(void) {
    return CFTypeBoolean;
}

Boolean CFBooleanGetValue(CFBooleanRef boolean) {
    CFRequire(boolean);
    return [(__bridge NSNumber *)boolean boolValue];
}

CFTypeID CFNumberGetTypeID(void) {
    return CFTypeNumber;
}

/// One of the first six for any of them; 0 for an unknown one.
static CFNumberType exact_type(CFNumberType type) {
    switch (type) {
    case kCFNumberSInt8Type ... kCFNumberFloat64Type:
        return type;
    case kCFNumberCharType:
        return kCFNumberSInt8Type;
    case kCFNumberShortType:
        return kCFNumberSInt16Type;
    case kCFNumberIntType:
        return kCFNumberSInt32Type;
    case kCFNumberLongType:
    case kCFNumberLongLongType:
    case kCFNumberCFIndexType:
    case kCFNumberNSIntegerType:
        return kCFNumberSInt64Type;
    case kCFNumberFloatType:
        return kCFNumberFloat32Type;
    case kCFNumberDoubleType:
    case kCFNumberCGFloatType:
        return kCFNumberFloat64Type;
    default:
        return 0;
    }
}

CFNumberRef CFNumberCreate(CFAllocatorRef allocator, CFNumberType type, const void *value) {
    (void)allocator;
    CFRequire(value);
    @autoreleasepool {
        switch (exact_type(type)) {
        case kCFNumberSInt8Type:
            // Not a char, which is what a boolean is.
            return (__bridge_retained CFNumberRef)[[NSNumber alloc] initWithInt:*(const SInt8 *)value];
        case kCFNumberSInt16Type:
            return (__bridge_retained CFNumberRef)[[NSNumber alloc] initWithShort:*(const SInt16 *)value];
        case kCFNumberSInt32Type:
            return (__bridge_retained CFNumberRef)[[NSNumber alloc] initWithInt:*(const SInt32 *)value];
        case kCFNumberSInt64Type:
            return (__bridge_retained CFNumberRef)[[NSNumber alloc] initWithLongLong:*(const SInt64 *)value];
        case kCFNumberFloat32Type:
            return (__bridge_retained CFNumberRef)[[NSNumber alloc] initWithFloat:*(const float *)value];
        case kCFNumberFloat64Type:
            return (__bridge_retained CFNumberRef)[[NSNumber alloc] initWithDouble:*(const double *)value];
        default:
            CFFatal(__func__, "was called with an unknown type");
        }
    }
}

CFNumberType CFNumberGetType(CFNumberRef number) {
    CFRequire(number);
    switch (*[(__bridge NSNumber *)number objCType]) {
    case 'c':
    case 'C':
    case 'B':
        return kCFNumberSInt8Type;
    case 's':
        return kCFNumberSInt16Type;
    case 'S':
    case 'i':
        return kCFNumberSInt32Type;
    case 'f':
        return kCFNumberFloat32Type;
    case 'd':
        return kCFNumberFloat64Type;
    default:
        return kCFNumberSInt64Type;
    }
}

static CFIndex size_of(CFNumberType type) {
    static const CFIndex sizes[] = {0, 1, 2, 4, 8, 4, 8};
    return sizes[exact_type(type)];
}

CFIndex CFNumberGetByteSize(CFNumberRef number) {
    return size_of(CFNumberGetType(number));
}

Boolean CFNumberIsFloatType(CFNumberRef number) {
    CFNumberType type = CFNumberGetType(number);
    return type == kCFNumberFloat32Type || type == kCFNumberFloat64Type;
}

Boolean CFNumberGetValue(CFNumberRef number, CFNumberType type, void *value) {
    CFRequire(number);
    CFRequire(value);
    NSNumber *bridged = (__bridge NSNumber *)number;
    type = exact_type(type);
    if (type == kCFNumberFloat32Type || type == kCFNumberFloat64Type) {
        double real = bridged.doubleValue;
        float single = (float)real;
        memcpy(value, type == kCFNumberFloat32Type ? (void *)&single : (void *)&real, (size_t)size_of(type));
        return (type == kCFNumberFloat64Type || single == real || isnan(real)) &&
               (CFNumberIsFloatType(number) || (long long)real == bridged.longLongValue);
    }
    if (type == 0)
        CFFatal(__func__, "was called with an unknown type");
    SInt64 whole = bridged.longLongValue;
    BOOL exact = CFNumberIsFloatType(number) ? bridged.doubleValue == (double)whole
                                             : *bridged.objCType != 'Q' || bridged.unsignedLongLongValue <= INT64_MAX;
    switch (type) {
    case kCFNumberSInt8Type:
        *(SInt8 *)value = (SInt8)whole;
        return exact && *(SInt8 *)value == whole;
    case kCFNumberSInt16Type:
        *(SInt16 *)value = (SInt16)whole;
        return exact && *(SInt16 *)value == whole;
    case kCFNumberSInt32Type:
        *(SInt32 *)value = (SInt32)whole;
        return exact && *(SInt32 *)value == whole;
    default:
        *(SInt64 *)value = whole;
        return exact;
    }
}

CFComparisonResult CFNumberCompare(CFNumberRef first, CFNumberRef second, void *context) {
    (void)context;
    CFRequire(first);
    CFRequire(second);
    return (CFComparisonResult)[(__bridge NSNumber *)first compare:(__bridge NSNumber *)second];
}
