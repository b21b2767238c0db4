// SPDX-License-Identifier: Apache-2.0
// CoreFoundation's types: what each function does, and that each object is Foundation's, too. Checks; with a word, does
// what ends the process.
//   corefoundation [index|range|callbacks|null]
#import <CoreFoundation/CoreFoundation.h>
#import <Foundation/Foundation.h>
#include "check.h"

static CFBooleanRef early;
// Constants are there before main, for C as for others.
__attribute__((constructor)) static void begin(void) {
    early = kCFBooleanTrue;
}

static void addTo(const void *value, void *context) {
    CFArrayAppendValue((CFMutableArrayRef)context, value);
}

static void addPair(const void *key, const void *value, void *context) {
    CFStringAppendFormat((CFMutableStringRef)context, NULL, CFSTR("%@=%@;"), key, value);
}

static void checkNumbers(void) {
    int whole = -5;
    CFNumberRef number = CFNumberCreate(kCFAllocatorDefault, kCFNumberIntType, &whole);
    CHECK([(__bridge NSNumber *)number isEqual:@-5] && CFGetTypeID(number) == CFNumberGetTypeID());
    SInt8 octet;
    SInt64 wide;
    double real;
    CHECK(CFNumberGetValue(number, kCFNumberSInt8Type, &octet) && octet == -5);
    CHECK(CFNumberGetValue(number, kCFNumberLongLongType, &wide) && wide == -5);
    CHECK(CFNumberGetValue(number, kCFNumberDoubleType, &real) && real == -5);
    CHECK(!CFNumberIsFloatType(number) && CFNumberGetByteSize(number) == 4);
    CHECK(!CFNumberGetValue((__bridge CFNumberRef) @300, kCFNumberSInt8Type, &octet));
    CHECK(!CFNumberGetValue((__bridge CFNumberRef) @2.5, kCFNumberIntType, &whole) && whole == 2);
    CHECK(!CFNumberGetValue((__bridge CFNumberRef) @(ULLONG_MAX), kCFNumberSInt64Type, &wide));
    real = 0.25;
    CFNumberRef quarter = CFNumberCreate(NULL, kCFNumberFloat64Type, &real);
    CHECK(CFNumberIsFloatType(quarter) && CFNumberGetType(quarter) == kCFNumberFloat64Type);
    CHECK(CFNumberCompare(number, quarter, NULL) == kCFCompareLessThan);
    CHECK(CFEqual(number, (__bridge CFTypeRef) @-5) && CFHash(number) == [@-5 hash]);
    CFRelease(quarter);
    CFRelease(number);
    // Small ones are no booleans.
    octet = 1;
    CFNumberRef one = CFNumberCreate(NULL, kCFNumberCharType, &octet);
    CHECK(CFGetTypeID(one) == CFNumberGetTypeID());
    CFRelease(one);
    CHECK(early == kCFBooleanTrue && CFBooleanGetValue(early) && !CFBooleanGetValue(kCFBooleanFalse));
    CHECK(CFGetTypeID(kCFBooleanTrue) == CFBooleanGetTypeID() && CFBooleanGetTypeID() != CFNumberGetTypeID());
    CHECK([@YES isEqual:(__bridge id)kCFBooleanTrue] && CFGetTypeID(kCFNull) == CFNullGetTypeID());
    CHECK([NSNull null] == (__bridge id)kCFNull);
}

static void checkArrays(void) {
    const void *values[] = {CFSTR("a"), CFSTR("b"), CFSTR("a")};
    CFArrayRef array = CFArrayCreate(NULL, values, 3, &kCFTypeArrayCallBacks);
    CFRange all = CFRangeMake(0, 3);
    CHECK(CFArrayGetCount(array) == 3 && CFGetTypeID(array) == CFArrayGetTypeID());
    CHECK(CFEqual(CFArrayGetValueAtIndex(array, 1), CFSTR("b")));
    CHECK(CFArrayContainsValue(array, all, CFSTR("b")) && !CFArrayContainsValue(array, all, CFSTR("c")));
    CHECK(CFArrayGetFirstIndexOfValue(array, CFRangeMake(1, 2), CFSTR("a")) == 2);
    CHECK(CFArrayGetFirstIndexOfValue(array, all, CFSTR("c")) == kCFNotFound);
    CHECK(CFArrayGetCountOfValue(array, all, CFSTR("a")) == 2);
    const void *got[2];
    CFArrayGetValues(array, CFRangeMake(1, 2), got);
    CHECK(CFEqual(got[0], CFSTR("b")) && CFEqual(got[1], CFSTR("a")));
    CFMutableArrayRef copy = CFArrayCreateMutableCopy(NULL, 0, array);
    CFArrayRemoveValueAtIndex(copy, 0);
    CFArrayInsertValueAtIndex(copy, 0, CFSTR("first"));
    CFArraySetValueAtIndex(copy, 1, CFSTR("second"));
    CFArraySetValueAtIndex(copy, 3, CFSTR("fourth"));
    CFArrayAppendArray(copy, array, CFRangeMake(1, 1));
    CHECK([(__bridge NSArray *)copy isEqual:@[ @"first", @"second", @"a", @"fourth", @"b" ]]);
    CFMutableArrayRef applied = CFArrayCreateMutable(NULL, 0, &kCFTypeArrayCallBacks);
    CFArrayApplyFunction(array, all, addTo, applied);
    CHECK(CFEqual(applied, array));
    CFArrayRemoveAllValues(applied);
    CHECK(CFArrayGetCount(applied) == 0);
    CFArrayRef same = CFArrayCreateCopy(NULL, array);
    CHECK(CFEqual(same, array));
    CFRelease(same);
    CFRelease(applied);
    CFRelease(copy);
    CFRelease(array);
}

static void checkDictionaries(void) {
    const void *keys[] = {CFSTR("a"), CFSTR("b")}, *values[] = {kCFBooleanTrue, CFSTR("c")};
    CFDictionaryRef dictionary =
        CFDictionaryCreate(NULL, keys, values, 2, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks);
    CHECK([(__bridge NSDictionary *)dictionary isEqual:@{@"a" : @YES, @"b" : @"c"}]);
    CFMutableDictionaryRef changed = CFDictionaryCreateMutableCopy(NULL, 0, dictionary);
    CFDictionaryAddValue(changed, CFSTR("a"), CFSTR("not taken"));
    CFDictionaryReplaceValue(changed, CFSTR("z"), CFSTR("not taken"));
    CFDictionarySetValue(changed, CFSTR("d"), CFSTR("e"));
    CFDictionaryReplaceValue(changed, CFSTR("b"), CFSTR("f"));
    CFDictionaryRemoveValue(changed, CFSTR("nothing"));
    CHECK([(__bridge NSDictionary *)changed isEqual:@{@"a" : @YES, @"b" : @"f", @"d" : @"e"}]);
    CFDictionaryRemoveAllValues(changed);
    CFDictionarySetValue(changed, CFSTR("k"), CFSTR("v"));
    CFMutableStringRef text = CFStringCreateMutable(NULL, 0);
    CFDictionaryApplyFunction(changed, addPair, text);
    CHECK(CFEqual(text, CFSTR("k=v;")));
    CHECK(CFDictionaryGetCount(dictionary) == 2);
    CFDictionaryRef same = CFDictionaryCreateCopy(NULL, changed);
    CHECK(CFEqual(same, changed));
    CFRelease(same);
    CFRelease(text);
    CFRelease(changed);
    CFRelease(dictionary);
}

static void checkData(void) {
    CFDataRef data = CFDataCreate(NULL, (const UInt8 *)"abcdef", 6);
    CHECK(CFDataGetLength(data) == 6 && memcmp(CFDataGetBytePtr(data), "abcdef", 6) == 0);
    CHECK(CFGetTypeID(data) == CFDataGetTypeID());
    UInt8 bytes[2];
    CFDataGetBytes(data, CFRangeMake(2, 2), bytes);
    CHECK(memcmp(bytes, "cd", 2) == 0);
    CFMutableDataRef changed = CFDataCreateMutableCopy(NULL, 0, data);
    CFDataAppendBytes(changed, (const UInt8 *)"gh", 2);
    CFDataDeleteBytes(changed, CFRangeMake(0, 3));
    CFDataReplaceBytes(changed, CFRangeMake(0, 1), (const UInt8 *)"XY", 2);
    CHECK([(__bridge NSData *)changed isEqual:[NSData dataWithBytes:"XYefgh" length:6]]);
    CFDataIncreaseLength(changed, 2);
    CHECK(CFDataGetLength(changed) == 8 && CFDataGetMutableBytePtr(changed)[7] == 0);
    CFDataSetLength(changed, 1);
    CHECK(CFDataGetLength(changed) == 1);
    CFRelease(changed);
    CFDataRef borrowed = CFDataCreateWithBytesNoCopy(NULL, (const UInt8 *)"static", 6, kCFAllocatorNull);
    CFDataRef owned = CFDataCreateWithBytesNoCopy(NULL, (const UInt8 *)strdup("static"), 6, kCFAllocatorMalloc);
    CHECK(CFEqual(borrowed, owned));
    CFRelease(owned);
    CFRelease(borrowed);
    CFRelease(data);
}

static void checkStrings(void) {
    CFStringRef text = CFStringCreateWithFormat(NULL, NULL, CFSTR("%@ %d %s"), CFSTR("żółć"), 7, "c");
    CHECK(CFEqual(text, CFSTR("żółć 7 c")));
    CFRelease(text);
    CHECK(CFStringCompare(CFSTR("a"), CFSTR("B"), kCFCompareCaseInsensitive) == kCFCompareLessThan);
    CHECK(CFStringCompare(CFSTR("a"), CFSTR("B"), 0) == kCFCompareGreaterThan);
    CHECK(CFStringCompare(CFSTR("a9"), CFSTR("a10"), kCFCompareNumerically) == kCFCompareLessThan);
    CHECK(CFStringHasPrefix(CFSTR("/dev/null"), CFSTR("/dev")) && CFStringHasSuffix(CFSTR("/dev/null"), CFSTR("null")));
    CFRange found = CFStringFind(CFSTR("abcabc"), CFSTR("bc"), kCFCompareBackwards);
    CHECK(found.location == 4 && found.length == 2);
    CHECK(CFStringFind(CFSTR("abc"), CFSTR("x"), 0).location == kCFNotFound);
    CFArrayRef parts = CFStringCreateArrayBySeparatingStrings(NULL, CFSTR("a,b,,c"), CFSTR(","));
    CHECK(CFArrayGetCount(parts) == 4);
    CFStringRef whole = CFStringCreateByCombiningStrings(NULL, parts, CFSTR("-"));
    CHECK(CFEqual(whole, CFSTR("a-b--c")));
    CFStringRef part = CFStringCreateWithSubstring(NULL, whole, CFRangeMake(1, 3));
    CHECK(CFEqual(part, CFSTR("-b-")) && CFStringGetCharacterAtIndex(part, 1) == 'b');
    UniChar characters[3];
    CFStringGetCharacters(part, CFRangeMake(0, 3), characters);
    CFStringRef again = CFStringCreateWithCharacters(NULL, characters, 3);
    CHECK(CFEqual(again, part));
    CFMutableStringRef changed = CFStringCreateMutableCopy(NULL, 0, part);
    CFStringAppend(changed, CFSTR("x"));
    CFStringAppendCString(changed, "€", kCFStringEncodingUTF8);
    CFStringAppendFormat(changed, NULL, CFSTR("%02d"), 3);
    CHECK(CFEqual(changed, CFSTR("-b-x€03")));
    CFDataRef bytes = CFStringCreateExternalRepresentation(NULL, changed, kCFStringEncodingUTF8, 0);
    CHECK(CFDataGetLength(bytes) == 9);
    CFStringRef back = CFStringCreateFromExternalRepresentation(NULL, bytes, kCFStringEncodingUTF8);
    CHECK(CFEqual(back, changed));
    CHECK(CFStringCreateExternalRepresentation(NULL, changed, kCFStringEncodingASCII, 0) == NULL);
    CHECK(CFStringGetIntValue(CFSTR("42nd")) == 42 && CFStringGetIntValue(CFSTR("x")) == 0);
    CHECK(CFStringGetIntValue(CFSTR("99999999999")) == INT32_MAX && CFStringGetDoubleValue(CFSTR("2.5")) == 2.5);
    char path[32];
    CHECK(CFStringGetFileSystemRepresentation(CFSTR("/ż"), path, sizeof path) && strcmp(path, "/ż") == 0);
    CHECK(!CFStringGetFileSystemRepresentation(CFSTR("/long"), path, 5));
    CHECK(CFAbsoluteTimeGetCurrent() > 700000000);
    for (CFTypeRef *object = (CFTypeRef[]){back, bytes, changed, again, part, whole, parts, NULL}; *object; object++)
        CFRelease(*object);
}

static void checkURLs(void) {
    CFURLRef file = CFURLCreateWithFileSystemPath(NULL, CFSTR("/tmp/a b.img"), kCFURLPOSIXPathStyle, false);
    CHECK(((__bridge NSURL *)file).isFileURL && CFGetTypeID(file) == CFURLGetTypeID());
    UInt8 path[64];
    CHECK(CFURLGetFileSystemRepresentation(file, true, path, sizeof path) && strcmp((char *)path, "/tmp/a b.img") == 0);
    CHECK(!CFURLGetFileSystemRepresentation(file, true, path, 4));
    CFStringRef name = CFURLCopyLastPathComponent(file), extension = CFURLCopyPathExtension(file);
    CFStringRef raw = CFURLCopyPath(file), plain = CFURLCopyFileSystemPath(file, kCFURLPOSIXPathStyle);
    CHECK(CFEqual(name, CFSTR("a b.img")) && CFEqual(extension, CFSTR("img")));
    CHECK(CFEqual(raw, CFSTR("/tmp/a%20b.img")) && CFEqual(plain, CFSTR("/tmp/a b.img")));
    CHECK(!CFURLHasDirectoryPath(file));
    CFURLRef folder = CFURLCreateCopyDeletingLastPathComponent(NULL, file);
    CHECK(CFURLHasDirectoryPath(folder));
    CFURLRef other = CFURLCreateCopyAppendingPathComponent(NULL, folder, CFSTR("c"), false);
    CFStringRef otherPath = CFURLCopyFileSystemPath(other, kCFURLPOSIXPathStyle);
    CHECK(CFEqual(otherPath, CFSTR("/tmp/c")));
    CFURLRef bytes = CFURLCreateFromFileSystemRepresentation(NULL, (const UInt8 *)"/tmp/c", 6, false);
    CHECK(CFEqual(bytes, other));
    CHECK(CFURLCreateFromFileSystemRepresentation(NULL, (const UInt8 *)"", 0, false) == NULL);
    CFURLRef web = CFURLCreateWithString(NULL, CFSTR("https://example.org:8443/p/q?r=s#t"), NULL);
    CFStringRef scheme = CFURLCopyScheme(web), host = CFURLCopyHostName(web), webPath = CFURLCopyPath(web);
    CHECK(CFEqual(scheme, CFSTR("https")) && CFEqual(host, CFSTR("example.org")) && CFEqual(webPath, CFSTR("/p/q")));
    CHECK(CFURLGetPortNumber(web) == 8443 && CFURLGetPortNumber(file) == -1 && CFURLCopyHostName(file) == NULL);
    CFURLRef folderOfWeb = CFURLCreateWithString(NULL, CFSTR("https://example.org:8443/p/"), NULL);
    CFURLRef relative = CFURLCreateWithString(NULL, CFSTR("z"), folderOfWeb);
    CFURLRef absolute = CFURLCopyAbsoluteURL(relative);
    CHECK(CFEqual(CFURLGetString(relative), CFSTR("z")) && CFURLGetBaseURL(relative) != NULL);
    CHECK(CFEqual(CFURLGetString(absolute), CFSTR("https://example.org:8443/p/z")));
    for (CFTypeRef *object = (CFTypeRef[]){file, name, extension, raw, plain, folder, other, otherPath, bytes, web,
                                           scheme, host, webPath, folderOfWeb, relative, absolute, NULL};
         *object; object++)
        CFRelease(*object);
}

int main(int argc, char **argv) {
    @autoreleasepool {
        NSString *way = argc == 2 ? @(argv[1]) : @"";
        CFArrayRef array = (__bridge CFArrayRef) @[ @1 ];
        if ([way isEqualToString:@"index"])
            CFArrayGetValueAtIndex(array, 1);
        else if ([way isEqualToString:@"range"])
            CFDataGetBytes((__bridge CFDataRef)[NSData data], CFRangeMake(LONG_MAX, LONG_MAX), (UInt8 *)argv);
        else if ([way isEqualToString:@"callbacks"])
            CFArrayCreateMutable(NULL, 0, NULL);
        else if ([way isEqualToString:@"null"])
            CFURLCopyScheme((CFURLRef _Nonnull)NULL);
    }
    @autoreleasepool {
        checkNumbers();
        checkArrays();
        checkDictionaries();
        checkData();
        checkStrings();
        checkURLs();
    }
    return VERDICT;
}
