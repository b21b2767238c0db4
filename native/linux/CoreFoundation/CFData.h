// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFDATA_H
#define APPLEVZ_CFDATA_H

#include <CoreFoundation/CFBase.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

CF_EXPORT CFTypeID CFDataGetTypeID(void);
CF_EXPORT CFDataRef CFDataCreate(CFAllocatorRef _Nullable allocator, const UInt8 *_Nullable bytes,
                                 CFIndex length) CF_RETURNS_RETAINED;
// With kCFAllocatorNull the bytes stay the caller's and must outlive the data; else they are freed with it, by free().
CF_EXPORT CFDataRef CFDataCreateWithBytesNoCopy(CFAllocatorRef _Nullable allocator, const UInt8 *bytes, CFIndex length,
                                                CFAllocatorRef _Nullable bytesDeallocator) CF_RETURNS_RETAINED;
CF_EXPORT CFDataRef CFDataCreateCopy(CFAllocatorRef _Nullable allocator, CFDataRef data) CF_RETURNS_RETAINED;
CF_EXPORT CFMutableDataRef CFDataCreateMutable(CFAllocatorRef _Nullable allocator,
                                               CFIndex capacity) CF_RETURNS_RETAINED;
CF_EXPORT CFMutableDataRef CFDataCreateMutableCopy(CFAllocatorRef _Nullable allocator, CFIndex capacity,
                                                   CFDataRef data) CF_RETURNS_RETAINED;
CF_EXPORT CFIndex CFDataGetLength(CFDataRef data);
CF_EXPORT const UInt8 *_Nullable CFDataGetBytePtr(CFDataRef data);
CF_EXPORT UInt8 *_Nullable CFDataGetMutableBytePtr(CFMutableDataRef data);
// A range that the data does not have aborts.
CF_EXPORT void CFDataGetBytes(CFDataRef data, CFRange range, UInt8 *buffer);
CF_EXPORT void CFDataSetLength(CFMutableDataRef data, CFIndex length);
CF_EXPORT void CFDataIncreaseLength(CFMutableDataRef data, CFIndex extra);
CF_EXPORT void CFDataAppendBytes(CFMutableDataRef data, const UInt8 *bytes, CFIndex length);
CF_EXPORT void CFDataReplaceBytes(CFMutableDataRef data, CFRange range, const UInt8 *_Nullable bytes, CFIndex length);
CF_EXPORT void CFDataDeleteBytes(CFMutableDataRef data, CFRange range);

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
