// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFARRAY_H
#define APPLEVZ_CFARRAY_H

#include <CoreFoundation/CFBase.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

// What an array does with its values. They are objects: the callbacks are those below, by their address, and a
// program's own, or NULL, abort.
typedef const void *_Nullable (*CFArrayRetainCallBack)(CFAllocatorRef _Nullable allocator, const void *value);
typedef void (*CFArrayReleaseCallBack)(CFAllocatorRef _Nullable allocator, const void *value);
typedef CFStringRef _Nullable (*CFArrayCopyDescriptionCallBack)(const void *value);
typedef Boolean (*CFArrayEqualCallBack)(const void *first, const void *second);
typedef struct {
    CFIndex version;
    CFArrayRetainCallBack _Nullable retain;
    CFArrayReleaseCallBack _Nullable release;
    CFArrayCopyDescriptionCallBack _Nullable copyDescription;
    CFArrayEqualCallBack _Nullable equal;
} CFArrayCallBacks;
CF_EXPORT const CFArrayCallBacks kCFTypeArrayCallBacks;

CF_EXPORT CFTypeID CFArrayGetTypeID(void);
CF_EXPORT CFArrayRef CFArrayCreate(CFAllocatorRef _Nullable allocator, const void *_Nullable *_Nullable values,
                                   CFIndex count, const CFArrayCallBacks *_Nullable callBacks) CF_RETURNS_RETAINED;
CF_EXPORT CFArrayRef CFArrayCreateCopy(CFAllocatorRef _Nullable allocator, CFArrayRef array) CF_RETURNS_RETAINED;
CF_EXPORT CFMutableArrayRef CFArrayCreateMutable(CFAllocatorRef _Nullable allocator, CFIndex capacity,
                                                 const CFArrayCallBacks *_Nullable callBacks) CF_RETURNS_RETAINED;
CF_EXPORT CFMutableArrayRef CFArrayCreateMutableCopy(CFAllocatorRef _Nullable allocator, CFIndex capacity,
                                                     CFArrayRef array) CF_RETURNS_RETAINED;
CF_EXPORT CFIndex CFArrayGetCount(CFArrayRef array);
// The array's own: not retained for the caller. An index that the array does not have aborts.
CF_EXPORT const void *CFArrayGetValueAtIndex(CFArrayRef array, CFIndex index);
CF_EXPORT void CFArrayGetValues(CFArrayRef array, CFRange range, const void *_Nullable *_Nonnull values);
CF_EXPORT Boolean CFArrayContainsValue(CFArrayRef array, CFRange range, const void *value);
CF_EXPORT CFIndex CFArrayGetCountOfValue(CFArrayRef array, CFRange range, const void *value);
// kCFNotFound where there is none.
CF_EXPORT CFIndex CFArrayGetFirstIndexOfValue(CFArrayRef array, CFRange range, const void *value);
typedef void (*CFArrayApplierFunction)(const void *value, void *_Nullable context);
CF_EXPORT void CFArrayApplyFunction(CFArrayRef array, CFRange range, CFArrayApplierFunction applier,
                                    void *_Nullable context);
CF_EXPORT void CFArrayAppendValue(CFMutableArrayRef array, const void *value);
CF_EXPORT void CFArrayAppendArray(CFMutableArrayRef array, CFArrayRef other, CFRange range);
CF_EXPORT void CFArrayInsertValueAtIndex(CFMutableArrayRef array, CFIndex index, const void *value);
// At the index behind the last, it appends.
CF_EXPORT void CFArraySetValueAtIndex(CFMutableArrayRef array, CFIndex index, const void *value);
CF_EXPORT void CFArrayRemoveValueAtIndex(CFMutableArrayRef array, CFIndex index);
CF_EXPORT void CFArrayRemoveAllValues(CFMutableArrayRef array);

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
