// SPDX-License-Identifier: Apache-2.0
// What a process may do by its code signature. Linux has no such signatures, and keeps nothing from a process for want
// of one: every task has every entitlement.
#ifndef APPLEVZ_SECTASK_H
#define APPLEVZ_SECTASK_H

#include <CoreFoundation/CoreFoundation.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN
CF_IMPLICIT_BRIDGING_ENABLED

typedef struct CF_BRIDGED_TYPE(id) __SecTask *SecTaskRef;

/// The calling process, for the caller to release.
CF_EXPORT SecTaskRef _Nullable SecTaskCreateFromSelf(CFAllocatorRef _Nullable allocator);

/// The entitlement's value, for the caller to release. NULL without an error means that the task does not have it.
CF_EXPORT CFTypeRef _Nullable SecTaskCopyValueForEntitlement(SecTaskRef task, CFStringRef entitlement,
                                                             CFErrorRef _Nullable *_Nullable error);

CF_IMPLICIT_BRIDGING_DISABLED
CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
