// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFURL_H
#define APPLEVZ_CFURL_H

#include <CoreFoundation/CFString.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

typedef CFIndex CFURLPathStyle;
enum { kCFURLPOSIXPathStyle = 0 };

CF_EXPORT CFTypeID CFURLGetTypeID(void);
// NULL for what is no URL.
CF_EXPORT CFURLRef _Nullable CFURLCreateWithString(CFAllocatorRef _Nullable allocator, CFStringRef string,
                                                   CFURLRef _Nullable baseURL) CF_RETURNS_RETAINED;
CF_EXPORT CFURLRef _Nullable CFURLCreateWithBytes(CFAllocatorRef _Nullable allocator, const UInt8 *bytes,
                                                  CFIndex length, CFStringEncoding encoding,
                                                  CFURLRef _Nullable baseURL) CF_RETURNS_RETAINED;
// NULL for a style other than POSIX'.
CF_EXPORT CFURLRef _Nullable CFURLCreateWithFileSystemPath(CFAllocatorRef _Nullable allocator, CFStringRef path,
                                                           CFURLPathStyle style,
                                                           Boolean isDirectory) CF_RETURNS_RETAINED;
CF_EXPORT CFURLRef _Nullable CFURLCreateFromFileSystemRepresentation(CFAllocatorRef _Nullable allocator,
                                                                     const UInt8 *path, CFIndex length,
                                                                     Boolean isDirectory) CF_RETURNS_RETAINED;
CF_EXPORT CFURLRef _Nullable CFURLCreateCopyAppendingPathComponent(CFAllocatorRef _Nullable allocator, CFURLRef url,
                                                                   CFStringRef component,
                                                                   Boolean isDirectory) CF_RETURNS_RETAINED;
CF_EXPORT CFURLRef _Nullable CFURLCreateCopyDeletingLastPathComponent(CFAllocatorRef _Nullable allocator,
                                                                      CFURLRef url) CF_RETURNS_RETAINED;
CF_EXPORT CFURLRef _Nullable CFURLCopyAbsoluteURL(CFURLRef url) CF_RETURNS_RETAINED;
// The URL's own: not retained for the caller.
CF_EXPORT CFStringRef CFURLGetString(CFURLRef url);
CF_EXPORT CFURLRef _Nullable CFURLGetBaseURL(CFURLRef url);
CF_EXPORT Boolean CFURLGetFileSystemRepresentation(CFURLRef url, Boolean resolveAgainstBase, UInt8 *buffer,
                                                   CFIndex size);
CF_EXPORT CFStringRef _Nullable CFURLCopyFileSystemPath(CFURLRef url, CFURLPathStyle style) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFURLCopyPath(CFURLRef url) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFURLCopyScheme(CFURLRef url) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFURLCopyHostName(CFURLRef url) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFURLCopyLastPathComponent(CFURLRef url) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFURLCopyPathExtension(CFURLRef url) CF_RETURNS_RETAINED;
// -1 where the URL names none.
CF_EXPORT SInt32 CFURLGetPortNumber(CFURLRef url);
CF_EXPORT Boolean CFURLHasDirectoryPath(CFURLRef url);

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
