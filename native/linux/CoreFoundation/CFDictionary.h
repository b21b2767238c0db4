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

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
