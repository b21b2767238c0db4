// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFSTRING_H
#define APPLEVZ_CFSTRING_H

#include <CoreFoundation/CFBase.h>
#include <stdarg.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

typedef UInt32 CFStringEncoding;
enum {
    kCFStringEncodingMacRoman = 0,
    kCFStringEncodingISOLatin1 = 0x0201,
    kCFStringEncodingASCII = 0x0600,
    kCFStringEncodingUTF8 = 0x08000100,
    kCFStringEncodingUTF16 = 0x0100,
    kCFStringEncodingUTF16BE = 0x10000100,
    kCFStringEncodingUTF16LE = 0x14000100,
    kCFStringEncodingUTF32 = 0x0c000100,
};

CF_EXPORT CFTypeID CFStringGetTypeID(void);
// NULL for an unknown encoding and for bytes that are not of the encoding.
CF_EXPORT CFStringRef _Nullable CFStringCreateWithCString(CFAllocatorRef _Nullable allocator, const char *text,
                                                          CFStringEncoding encoding) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateWithBytes(CFAllocatorRef _Nullable allocator, const UInt8 *bytes,
                                                        CFIndex count, CFStringEncoding encoding,
                                                        Boolean isExternalRepresentation) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateCopy(CFAllocatorRef _Nullable allocator,
                                                   CFStringRef string) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateWithCharacters(CFAllocatorRef _Nullable allocator,
                                                             const UniChar *_Nullable characters,
                                                             CFIndex count) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateWithSubstring(CFAllocatorRef _Nullable allocator, CFStringRef string,
                                                            CFRange range) CF_RETURNS_RETAINED;
// Takes %@; the options are NULL.
CF_EXPORT CFStringRef _Nullable CFStringCreateWithFormat(CFAllocatorRef _Nullable allocator,
                                                         CFDictionaryRef _Nullable options, CFStringRef format,
                                                         ...) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateWithFormatAndArguments(CFAllocatorRef _Nullable allocator,
                                                                     CFDictionaryRef _Nullable options,
                                                                     CFStringRef format,
                                                                     va_list arguments) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateWithFileSystemRepresentation(CFAllocatorRef _Nullable allocator,
                                                                           const char *path) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateByCombiningStrings(CFAllocatorRef _Nullable allocator, CFArrayRef strings,
                                                                 CFStringRef separator) CF_RETURNS_RETAINED;
CF_EXPORT CFArrayRef _Nullable CFStringCreateArrayBySeparatingStrings(CFAllocatorRef _Nullable allocator,
                                                                      CFStringRef string,
                                                                      CFStringRef separator) CF_RETURNS_RETAINED;
CF_EXPORT CFDataRef _Nullable CFStringCreateExternalRepresentation(CFAllocatorRef _Nullable allocator,
                                                                   CFStringRef string, CFStringEncoding encoding,
                                                                   UInt8 lossByte) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFStringCreateFromExternalRepresentation(CFAllocatorRef _Nullable allocator,
                                                                         CFDataRef data,
                                                                         CFStringEncoding encoding) CF_RETURNS_RETAINED;
// The largest length, where it is not 0, is not looked at.
CF_EXPORT CFMutableStringRef CFStringCreateMutable(CFAllocatorRef _Nullable allocator,
                                                   CFIndex maximumLength) CF_RETURNS_RETAINED;
CF_EXPORT CFMutableStringRef CFStringCreateMutableCopy(CFAllocatorRef _Nullable allocator, CFIndex maximumLength,
                                                       CFStringRef string) CF_RETURNS_RETAINED;
CF_EXPORT void CFStringAppend(CFMutableStringRef string, CFStringRef appended);
CF_EXPORT void CFStringAppendCString(CFMutableStringRef string, const char *text, CFStringEncoding encoding);
CF_EXPORT void CFStringAppendFormat(CFMutableStringRef string, CFDictionaryRef _Nullable options, CFStringRef format,
                                    ...);

typedef CFOptionFlags CFStringCompareFlags;
enum {
    kCFCompareCaseInsensitive = 1,
    kCFCompareBackwards = 4,
    kCFCompareAnchored = 8,
    kCFCompareNonliteral = 16,
    kCFCompareNumerically = 64,
};
CF_EXPORT CFComparisonResult CFStringCompare(CFStringRef first, CFStringRef second, CFStringCompareFlags flags);
// The location is kCFNotFound where there is none.
CF_EXPORT CFRange CFStringFind(CFStringRef string, CFStringRef found, CFStringCompareFlags flags);
CF_EXPORT Boolean CFStringHasPrefix(CFStringRef string, CFStringRef prefix);
CF_EXPORT Boolean CFStringHasSuffix(CFStringRef string, CFStringRef suffix);
CF_EXPORT UniChar CFStringGetCharacterAtIndex(CFStringRef string, CFIndex index);
CF_EXPORT void CFStringGetCharacters(CFStringRef string, CFRange range, UniChar *buffer);
// 0 where the string does not begin with a number.
CF_EXPORT SInt32 CFStringGetIntValue(CFStringRef string);
CF_EXPORT double CFStringGetDoubleValue(CFStringRef string);
CF_EXPORT CFStringEncoding CFStringGetSystemEncoding(void);
CF_EXPORT CFIndex CFStringGetMaximumSizeOfFileSystemRepresentation(CFStringRef string);
CF_EXPORT Boolean CFStringGetFileSystemRepresentation(CFStringRef string, char *buffer, CFIndex size);

// In UTF-16 code units, as all lengths and ranges of strings.
CF_EXPORT CFIndex CFStringGetLength(CFStringRef string);
// kCFNotFound for an unknown encoding, and where the result is not a CFIndex.
CF_EXPORT CFIndex CFStringGetMaximumSizeForEncoding(CFIndex length, CFStringEncoding encoding);
// False, and nothing promised of the buffer, if the string with its NUL does not fit or cannot be encoded.
CF_EXPORT Boolean CFStringGetCString(CFStringRef string, char *buffer, CFIndex size, CFStringEncoding encoding);
// Always NULL: GNUstep has no pointer to give away that lives as long as the string. The documentation allows it.
CF_EXPORT const char *_Nullable CFStringGetCStringPtr(CFStringRef string, CFStringEncoding encoding);
// Encodes as many whole characters of the range as fit; a character that cannot be encoded becomes lossByte, and ends
// the conversion where that is 0. Returns the number of code units converted. With a NULL buffer it only counts.
CF_EXPORT CFIndex CFStringGetBytes(CFStringRef string, CFRange range, CFStringEncoding encoding, UInt8 lossByte,
                                   Boolean isExternalRepresentation, UInt8 *_Nullable buffer, CFIndex size,
                                   CFIndex *_Nullable usedSize);

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#if defined(__OBJC__)
#define CFSTR(text) ((__bridge CFStringRef) @text)
#endif

#endif
