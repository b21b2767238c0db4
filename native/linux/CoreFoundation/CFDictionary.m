// SPDX-License-Identifier: Apache-2.0
#import "types.h"

CFTypeID CFDictionaryGetTypeID(void) {
    return CFTypeDictionary;
}

CFIndex CFDictionaryGetCount(CFDictionaryRef dictionary) {
    CFRequire(dictionary);
    return (CFIndex)[(__bridge NSDictionary *)dictionary count];
}

Boolean CFDictionaryContainsKey(CFDictionaryRef dictionary, const void *key) {
    return CFDictionaryGetValue(dictionary, key) != NULL;
}

const void *CFDictionaryGetValue(CFDictionaryRef dictionary, const void *key) {
    CFRequire(dictionary);
    return key ? (__bridge const void *)[(__bridge NSDictionary *)dictionary objectForKey:(__bridge id)key] : NULL;
}

Boolean CFDictionaryGetValueIfPresent(CFDictionaryRef dictionary, const void *key, const void **value) {
    const void *found = CFDictionaryGetValue(dictionary, key);
    if (found && value) {
        *value = found;
    }
    return found != NULL;
}

void CFDictionaryGetKeysAndValues(CFDictionaryRef dictionary, const void **keys, const void **values) {
    CFRequire(dictionary);
    @autoreleasepool {
        CFIndex index = 0;
        NSDictionary *bridged = (__bridge NSDictionary *)dictionary;
        for (id key in bridged) {
            if (keys) {
                keys[index] = (__bridge const void *)key;
            }
            if (values) {
                values[index] = (__bridge const void *)[bridged objectForKey:key];
            }
            index++;
        }
    }
}
