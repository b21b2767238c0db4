// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFERROR_H
#define APPLEVZ_CFERROR_H

#include <CoreFoundation/CFBase.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

typedef CFStringRef CFErrorDomain;

// Domains and keys are Foundation's, under their other name.
CF_EXPORT const CFErrorDomain kCFErrorDomainPOSIX __asm__("NSPOSIXErrorDomain");
CF_EXPORT const CFErrorDomain kCFErrorDomainOSStatus __asm__("NSOSStatusErrorDomain");
CF_EXPORT const CFErrorDomain kCFErrorDomainMach __asm__("NSMACHErrorDomain");
CF_EXPORT const CFErrorDomain kCFErrorDomainCocoa __asm__("NSCocoaErrorDomain");
CF_EXPORT const CFStringRef kCFErrorLocalizedDescriptionKey __asm__("NSLocalizedDescriptionKey");
CF_EXPORT const CFStringRef kCFErrorLocalizedFailureReasonKey __asm__("NSLocalizedFailureReasonErrorKey");
CF_EXPORT const CFStringRef kCFErrorLocalizedRecoverySuggestionKey __asm__("NSLocalizedRecoverySuggestionErrorKey");
CF_EXPORT const CFStringRef kCFErrorUnderlyingErrorKey __asm__("NSUnderlyingErrorKey");

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
