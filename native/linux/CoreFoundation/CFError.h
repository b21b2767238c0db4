// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFERROR_H
#define APPLEVZ_CFERROR_H

#include <CoreFoundation/CFBase.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

typedef CFStringRef CFErrorDomain;

// Domains and keys of Foundation, which are the same objects.
CF_EXPORT const CFErrorDomain kCFErrorDomainPOSIX;
CF_EXPORT const CFErrorDomain kCFErrorDomainOSStatus;
CF_EXPORT const CFErrorDomain kCFErrorDomainMach;
CF_EXPORT const CFErrorDomain kCFErrorDomainCocoa;
CF_EXPORT const CFStringRef kCFErrorLocalizedDescriptionKey;
CF_EXPORT const CFStringRef kCFErrorLocalizedFailureReasonKey;
CF_EXPORT const CFStringRef kCFErrorLocalizedRecoverySuggestionKey;
CF_EXPORT const CFStringRef kCFErrorUnderlyingErrorKey;

CF_EXPORT CFTypeID CFErrorGetTypeID(void);
CF_EXPORT CFErrorRef CFErrorCreate(CFAllocatorRef _Nullable allocator, CFErrorDomain domain, CFIndex code,
                                   CFDictionaryRef _Nullable userInfo) CF_RETURNS_RETAINED;
CF_EXPORT CFErrorDomain CFErrorGetDomain(CFErrorRef error);
CF_EXPORT CFIndex CFErrorGetCode(CFErrorRef error);
// An empty dictionary where the error has none.
CF_EXPORT CFDictionaryRef CFErrorCopyUserInfo(CFErrorRef error) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef CFErrorCopyDescription(CFErrorRef error) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFErrorCopyFailureReason(CFErrorRef error) CF_RETURNS_RETAINED;
CF_EXPORT CFStringRef _Nullable CFErrorCopyRecoverySuggestion(CFErrorRef error) CF_RETURNS_RETAINED;

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
