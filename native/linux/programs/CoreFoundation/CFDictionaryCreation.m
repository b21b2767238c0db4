// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>

const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks = {.retain = NULL};
const CFDictionaryKeyCallBacks kCFCopyStringDictionaryKeyCallBacks = {.retain = NULL};
const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks = {.retain = NULL};

CFDictionaryRef CFDictionaryCreate(CFAllocatorRef allocator, const void **keys, const void **values, CFIndex count,
                                   const CFDictionaryKeyCallBacks *keyCallBacks,
                                   const CFDictionaryValueCallBacks *valueCallBacks) {
    CFMutableDictionaryRef dictionary = CFDictionaryCreateMutable(allocator, count, keyCallBacks, valueCallBacks);
    for (CFIndex i = 0; i < count; i++)
        CFDictionarySetValue(dictionary, keys[i], values[i]);
    return dictionary;
}

CFDictionaryRef CFDictionaryCreateCopy(CFAllocatorRef allocator, CFDictionaryRef dictionary) {
    (void)allocator;
    CFRequire(dictionary);
    return (__bridge_retained CFDictionaryRef)[(__bridge NSDictionary *)dictionary copy];
}

CFMutableDictionaryRef CFDictionaryCreateMutable(CFAllocatorRef allocator, CFIndex capacity,
                                                 const CFDictionaryKeyCallBacks *keyCallBacks,
                                                 const CFDictionaryValueCallBacks *valueCallBacks) {
    (void)allocator, (void)capacity;
    if ((keyCallBacks != &kCFTypeDictionaryKeyCallBacks && keyCallBacks != &kCFCopyStringDictionaryKeyCallBacks) ||
        valueCallBacks != &kCFTypeDictionaryValueCallBacks)
        CFFatal(__func__, "was called with other callbacks than kCFTypeDictionaryKeyCallBacks and "
                          "kCFTypeDictionaryValueCallBacks: dictionaries here hold objects alone");
    return (__bridge_retained CFMutableDictionaryRef)[[NSMutableDictionary alloc] init];
}

CFMutableDictionaryRef CFDictionaryCreateMutableCopy(CFAllocatorRef allocator, CFIndex capacity,
                                                     CFDictionaryRef dictionary) {
    (void)allocator, (void)capacity;
    CFRequire(dictionary);
    return (__bridge_retained CFMutableDictionaryRef)[(__bridge NSDictionary *)dictionary mutableCopy];
}

void CFDictionaryAddValue(CFMutableDictionaryRef dictionary, const void *key, const void *value) {
    if (!CFDictionaryContainsKey(dictionary, key))
        CFDictionarySetValue(dictionary, key, value);
}

void CFDictionarySetValue(CFMutableDictionaryRef dictionary, const void *key, const void *value) {
    CFRequire(dictionary);
    CFRequire(key);
    CFRequire(value);
    [(__bridge NSMutableDictionary *)dictionary setObject:(__bridge id)value forKey:(__bridge id)key];
}

void CFDictionaryReplaceValue(CFMutableDictionaryRef dictionary, const void *key, const void *value) {
    if (CFDictionaryContainsKey(dictionary, key))
        CFDictionarySetValue(dictionary, key, value);
}

void CFDictionaryRemoveValue(CFMutableDictionaryRef dictionary, const void *key) {
    CFRequire(dictionary);
    CFRequire(key);
    [(__bridge NSMutableDictionary *)dictionary removeObjectForKey:(__bridge id)key];
}

void CFDictionaryRemoveAllValues(CFMutableDictionaryRef dictionary) {
    CFRequire(dictionary);
    [(__bridge NSMutableDictionary *)dictionary removeAllObjects];
}

void CFDictionaryApplyFunction(CFDictionaryRef dictionary, CFDictionaryApplierFunction applier, void *context) {
    CFRequire(dictionary);
    NSDictionary *bridged = (__bridge NSDictionary *)dictionary;
    for (id key in bridged)
        applier((__bridge const void *)key, (__bridge const void *)[bridged objectForKey:key], context);
}
