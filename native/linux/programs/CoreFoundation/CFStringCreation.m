// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>

#define STRING(string) ((__bridge NSString *)(string))
#define MUTABLE(string) ((__bridge NSMutableString *)(string))
#define GIVEN(object) ((__bridge_retained void *)(object))

static NSRange checked_in_string(CFStringRef string, CFRange range, const char *function) {
    CFIndex length = CFStringGetLength(string);
    if (range.location < 0 || range.length < 0 || range.location > length || range.length > length - range.location)
        CFFatal(function, "was called with a range that the string does not have");
    return NSMakeRange((NSUInteger)range.location, (NSUInteger)range.length);
}

CFStringRef CFStringCreateWithCharacters(CFAllocatorRef allocator, const UniChar *characters, CFIndex count) {
    (void)allocator;
    return count < 0 ? NULL : GIVEN([[NSString alloc] initWithCharacters:characters length:(NSUInteger)count]);
}

CFStringRef CFStringCreateWithSubstring(CFAllocatorRef allocator, CFStringRef string, CFRange range) {
    (void)allocator;
    @autoreleasepool {
        return GIVEN([STRING(string) substringWithRange:checked_in_string(string, range, __func__)]);
    }
}

CFStringRef CFStringCreateWithFormat(CFAllocatorRef allocator, CFDictionaryRef options, CFStringRef format, ...) {
    va_list arguments;
    va_start(arguments, format);
    CFStringRef string = CFStringCreateWithFormatAndArguments(allocator, options, format, arguments);
    va_end(arguments);
    return string;
}

CFStringRef CFStringCreateWithFormatAndArguments(CFAllocatorRef allocator, CFDictionaryRef options, CFStringRef format,
                                                 va_list arguments) {
    (void)allocator, (void)options;
    CFRequire(format);
    @autoreleasepool {
        return GIVEN([[NSString alloc] initWithFormat:STRING(format) arguments:arguments]);
    }
}

CFStringRef CFStringCreateWithFileSystemRepresentation(CFAllocatorRef allocator, const char *path) {
    (void)allocator;
    CFRequire(path);
    @autoreleasepool {
        return GIVEN([NSFileManager.defaultManager stringWithFileSystemRepresentation:path length:strlen(path)]);
    }
}

CFStringRef CFStringCreateByCombiningStrings(CFAllocatorRef allocator, CFArrayRef strings, CFStringRef separator) {
    (void)allocator;
    CFRequire(strings);
    CFRequire(separator);
    @autoreleasepool {
        return GIVEN([(__bridge NSArray *)strings componentsJoinedByString:STRING(separator)]);
    }
}

CFArrayRef CFStringCreateArrayBySeparatingStrings(CFAllocatorRef allocator, CFStringRef string, CFStringRef separator) {
    (void)allocator;
    CFRequire(string);
    CFRequire(separator);
    @autoreleasepool {
        return GIVEN([STRING(string) componentsSeparatedByString:STRING(separator)]);
    }
}

CFDataRef CFStringCreateExternalRepresentation(CFAllocatorRef allocator, CFStringRef string, CFStringEncoding encoding,
                                               UInt8 lossByte) {
    (void)allocator;
    CFRange whole = CFRangeMake(0, CFStringGetLength(string));
    CFIndex size = 0;
    if (CFStringGetBytes(string, whole, encoding, lossByte, true, NULL, 0, &size) != whole.length)
        return NULL;
    NSMutableData *data = [[NSMutableData alloc] initWithLength:(NSUInteger)size];
    CFStringGetBytes(string, whole, encoding, lossByte, true, data.mutableBytes, size, NULL);
    return GIVEN(data);
}

CFStringRef CFStringCreateFromExternalRepresentation(CFAllocatorRef allocator, CFDataRef data,
                                                     CFStringEncoding encoding) {
    return CFStringCreateWithBytes(allocator, CFDataGetBytePtr(data), CFDataGetLength(data), encoding, true);
}

CFMutableStringRef CFStringCreateMutable(CFAllocatorRef allocator, CFIndex maximumLength) {
    (void)allocator, (void)maximumLength;
    return GIVEN([[NSMutableString alloc] init]);
}

CFMutableStringRef CFStringCreateMutableCopy(CFAllocatorRef allocator, CFIndex maximumLength, CFStringRef string) {
    (void)allocator, (void)maximumLength;
    CFRequire(string);
    return GIVEN([STRING(string) mutableCopy]);
}

void CFStringAppend(CFMutableStringRef string, CFStringRef appended) {
    CFRequire(string);
    CFRequire(appended);
    [MUTABLE(string) appendString:STRING(appended)];
}

void CFStringAppendCString(CFMutableStringRef string, const char *text, CFStringEncoding encoding) {
    CFStringRef appended = CFStringCreateWithCString(NULL, text, encoding);
    if (appended) {
        CFStringAppend(string, appended);
        CFRelease(appended);
    }
}

void CFStringAppendFormat(CFMutableStringRef string, CFDictionaryRef options, CFStringRef format, ...) {
    va_list arguments;
    va_start(arguments, format);
    CFStringRef appended = CFStringCreateWithFormatAndArguments(NULL, options, format, arguments);
    va_end(arguments);
    CFStringAppend(string, appended);
    CFRelease(appended);
}

static NSStringCompareOptions options_of(CFStringCompareFlags flags) {
    // CoreFoundation compares literally unless told not to. With NSLiteralSearch GNUstep does not see numbers.
    NSStringCompareOptions options = (flags & (kCFCompareNonliteral | kCFCompareNumerically)) ? 0 : NSLiteralSearch;
    return options |
           (flags & (kCFCompareCaseInsensitive | kCFCompareBackwards | kCFCompareAnchored | kCFCompareNumerically));
}

CFComparisonResult CFStringCompare(CFStringRef first, CFStringRef second, CFStringCompareFlags flags) {
    CFRequire(first);
    CFRequire(second);
    @autoreleasepool {
        return (CFComparisonResult)[STRING(first) compare:STRING(second) options:options_of(flags)];
    }
}

CFRange CFStringFind(CFStringRef string, CFStringRef found, CFStringCompareFlags flags) {
    CFRequire(string);
    CFRequire(found);
    @autoreleasepool {
        NSRange range = [STRING(string) rangeOfString:STRING(found) options:options_of(flags)];
        return range.location == NSNotFound ? CFRangeMake(kCFNotFound, 0)
                                            : CFRangeMake((CFIndex)range.location, (CFIndex)range.length);
    }
}

Boolean CFStringHasPrefix(CFStringRef string, CFStringRef prefix) {
    CFRequire(string);
    CFRequire(prefix);
    return [STRING(string) hasPrefix:STRING(prefix)];
}

Boolean CFStringHasSuffix(CFStringRef string, CFStringRef suffix) {
    CFRequire(string);
    CFRequire(suffix);
    return [STRING(string) hasSuffix:STRING(suffix)];
}

UniChar CFStringGetCharacterAtIndex(CFStringRef string, CFIndex index) {
    return [STRING(string) characterAtIndex:checked_in_string(string, CFRangeMake(index, 1), __func__).location];
}

void CFStringGetCharacters(CFStringRef string, CFRange range, UniChar *buffer) {
    [STRING(string) getCharacters:buffer range:checked_in_string(string, range, __func__)];
}

SInt32 CFStringGetIntValue(CFStringRef string) {
    CFRequire(string);
    @autoreleasepool {
        long long value = [STRING(string) longLongValue];
        return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (SInt32)value;
    }
}

double CFStringGetDoubleValue(CFStringRef string) {
    CFRequire(string);
    @autoreleasepool {
        return [STRING(string) doubleValue];
    }
}

CFStringEncoding CFStringGetSystemEncoding(void) {
    return kCFStringEncodingUTF8;
}

CFIndex CFStringGetMaximumSizeOfFileSystemRepresentation(CFStringRef string) {
    return CFStringGetMaximumSizeForEncoding(CFStringGetLength(string), kCFStringEncodingUTF8) + 1;
}

Boolean CFStringGetFileSystemRepresentation(CFStringRef string, char *buffer, CFIndex size) {
    return CFStringGetCString(string, buffer, size, kCFStringEncodingUTF8);
}
