// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFDICTIONARY_H
#define APPLEVZ_CFDICTIONARY_H

#include <CoreFoundation/CFBase.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

CF_EXPORT CFTypeID CFDictionaryGetTypeID(void);
CF_EXPORT CFIndex CFDictionaryGetCount(CFDictionaryRef dictionary);
CF_EXPORT Boolean CFDictionaryContainsKey(CFDictionaryRef dictionary, const void *key);
// The dictionary's own: not retained for the caller.
CF_EXPORT const void *_Nullable CFDictionaryGetValue(CFDictionaryRef dictionary, const void *key);
CF_EXPORT Boolean CFDictionaryGetValueIfPresent(CFDictionaryRef dictionary, const void *key,
                                                const void *_Nullable *_Nullable value);
// Both arrays, where not NULL, have room for CFDictionaryGetCount entries.
CF_EXPORT void CFDictionaryGetKeysAndValues(CFDictionaryRef dictionary, const void *_Nullable *_Nullable keys,
                                            const void *_Nullable *_Nullable values);

// What a dictionary does with its keys and values. They are objects: the callbacks are those below, by their addresses,
// and a program's own, or NULL, abort.
typedef const void *_Nullable (*CFDictionaryRetainCallBack)(CFAllocatorRef _Nullable allocator, const void *value);
typedef void (*CFDictionaryReleaseCallBack)(CFAllocatorRef _Nullable allocator, const void *value);
typedef CFStringRef _Nullable (*CFDictionaryCopyDescriptionCallBack)(const void *value);
typedef Boolean (*CFDictionaryEqualCallBack)(const void *first, const void *second);
typedef CFHashCode (*CFDictionaryHashCallBack)(const void *value);
typedef struct {
    CFIndex version;
    CFDictionaryRetainCallBack _Nullable retain;
    CFDictionaryReleaseCallBack _Nullable release;
    CFDictionaryCopyDescriptionCallBack _Nullable copyDescription;
    CFDictionaryEqualCallBack _Nullable equal;
    CFDictionaryHashCallBack _Nullable hash;
} CFDictionaryKeyCallBacks;
typedef struct {
    CFIndex version;
    CFDictionaryRetainCallBack _Nullable retain;
    CFDictionaryReleaseCallBack _Nullable release;
    CFDictionaryCopyDescriptionCallBack _Nullable copyDescription;
    CFDictionaryEqualCallBack _Nullable equal;
} CFDictionaryValueCallBacks;
CF_EXPORT const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks;
CF_EXPORT const CFDictionaryKeyCallBacks kCFCopyStringDictionaryKeyCallBacks;
CF_EXPORT const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks;

CF_EXPORT CFDictionaryRef CFDictionaryCreate(
    CFAllocatorRef _Nullable allocator, const void *_Nullable *_Nullable keys, const void *_Nullable *_Nullable values,
    CFIndex count, const CFDictionaryKeyCallBacks *_Nullable keyCallBacks,
    const CFDictionaryValueCallBacks *_Nullable valueCallBacks) CF_RETURNS_RETAINED;
CF_EXPORT CFDictionaryRef CFDictionaryCreateCopy(CFAllocatorRef _Nullable allocator,
                                                 CFDictionaryRef dictionary) CF_RETURNS_RETAINED;
CF_EXPORT CFMutableDictionaryRef CFDictionaryCreateMutable(
    CFAllocatorRef _Nullable allocator, CFIndex capacity, const CFDictionaryKeyCallBacks *_Nullable keyCallBacks,
    const CFDictionaryValueCallBacks *_Nullable valueCallBacks) CF_RETURNS_RETAINED;
CF_EXPORT CFMutableDictionaryRef CFDictionaryCreateMutableCopy(CFAllocatorRef _Nullable allocator, CFIndex capacity,
                                                               CFDictionaryRef dictionary) CF_RETURNS_RETAINED;
// Add leaves a value that is there, Replace adds none, Set does both.
CF_EXPORT void CFDictionaryAddValue(CFMutableDictionaryRef dictionary, const void *key, const void *value);
CF_EXPORT void CFDictionarySetValue(CFMutableDictionaryRef dictionary, const void *key, const void *value);
CF_EXPORT void CFDictionaryReplaceValue(CFMutableDictionaryRef dictionary, const void *key, const void *value);
CF_EXPORT void CFDictionaryRemoveValue(CFMutableDictionaryRef dictionary, const void *key);
CF_EXPORT void CFDictionaryRemoveAllValues(CFMutableDictionaryRef dictionary);
typedef void (*CFDictionaryApplierFunction)(const void *key, const void *value, void *_Nullable context);
CF_EXPORT void CFDictionaryApplyFunction(CFDictionaryRef dictionary, CFDictionaryApplierFunction applier,
                                         void *_Nullable context);

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
