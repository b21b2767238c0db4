// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>

const CFArrayCallBacks kCFTypeArrayCallBacks = {.retain = NULL};

static void require_objects(const CFArrayCallBacks *callBacks, const char *function) {
    if (callBacks != &kCFTypeArrayCallBacks)
        CFFatal(function, "was called with other callbacks than kCFTypeArrayCallBacks: arrays here hold objects alone");
}

static NSRange range_of(CFRange range) {
    return NSMakeRange((NSUInteger)range.location, (NSUInteger)range.length);
}

static void require_range(CFArrayRef array, CFRange range, const char *function) {
    CFIndex count = (CFIndex)[(__bridge NSArray *)array count];
    if (range.location < 0 || range.length < 0 || range.location > count || range.length > count - range.location)
        CFFatal(function, "was called with a range that the array does not have");
}

CFTypeID CFArrayGetTypeID(void) {
    return CFTypeArray;
}

CFArrayRef CFArrayCreate(CFAllocatorRef allocator, const void **values, CFIndex count,
                         const CFArrayCallBacks *callBacks) {
    CFMutableArrayRef array = CFArrayCreateMutable(allocator, count, callBacks);
    for (CFIndex i = 0; i < count; i++)
        CFArrayAppendValue(array, values[i]);
    return array;
}

CFArrayRef CFArrayCreateCopy(CFAllocatorRef allocator, CFArrayRef array) {
    (void)allocator;
    CFRequire(array);
    return (__bridge_retained CFArrayRef)[(__bridge NSArray *)array copy];
}

CFMutableArrayRef CFArrayCreateMutable(CFAllocatorRef allocator, CFIndex capacity, const CFArrayCallBacks *callBacks) {
    (void)allocator, (void)capacity;
    require_objects(callBacks, __func__);
    return (__bridge_retained CFMutableArrayRef)[[NSMutableArray alloc] init];
}

CFMutableArrayRef CFArrayCreateMutableCopy(CFAllocatorRef allocator, CFIndex capacity, CFArrayRef array) {
    (void)allocator, (void)capacity;
    CFRequire(array);
    return (__bridge_retained CFMutableArrayRef)[(__bridge NSArray *)array mutableCopy];
}

CFIndex CFArrayGetCount(CFArrayRef array) {
    CFRequire(array);
    return (CFIndex)[(__bridge NSArray *)array count];
}

const void *CFArrayGetValueAtIndex(CFArrayRef array, CFIndex index) {
    CFRequire(array);
    require_range(array, CFRangeMake(index, 1), __func__);
    return (__bridge const void *)[(__bridge NSArray *)array objectAtIndex:(NSUInteger)index];
}

void CFArrayGetValues(CFArrayRef array, CFRange range, const void **values) {
    CFRequire(array);
    require_range(array, range, __func__);
    for (CFIndex i = 0; i < range.length; i++)
        values[i] = CFArrayGetValueAtIndex(array, range.location + i);
}

Boolean CFArrayContainsValue(CFArrayRef array, CFRange range, const void *value) {
    return CFArrayGetFirstIndexOfValue(array, range, value) != kCFNotFound;
}

CFIndex CFArrayGetCountOfValue(CFArrayRef array, CFRange range, const void *value) {
    CFRequire(array);
    require_range(array, range, __func__);
    CFIndex count = 0;
    for (CFIndex i = 0; i < range.length; i++)
        count += CFEqual(CFArrayGetValueAtIndex(array, range.location + i), value);
    return count;
}

CFIndex CFArrayGetFirstIndexOfValue(CFArrayRef array, CFRange range, const void *value) {
    CFRequire(array);
    require_range(array, range, __func__);
    NSUInteger index = [(__bridge NSArray *)array indexOfObject:(__bridge id)value inRange:range_of(range)];
    return index == NSNotFound ? kCFNotFound : (CFIndex)index;
}

void CFArrayApplyFunction(CFArrayRef array, CFRange range, CFArrayApplierFunction applier, void *context) {
    CFRequire(array);
    require_range(array, range, __func__);
    for (CFIndex i = 0; i < range.length; i++)
        applier(CFArrayGetValueAtIndex(array, range.location + i), context);
}

void CFArrayAppendValue(CFMutableArrayRef array, const void *value) {
    CFRequire(array);
    CFRequire(value);
    [(__bridge NSMutableArray *)array addObject:(__bridge id)value];
}

void CFArrayAppendArray(CFMutableArrayRef array, CFArrayRef other, CFRange range) {
    CFRequire(array);
    CFRequire(other);
    require_range(other, range, __func__);
    @autoreleasepool {
        [(__bridge NSMutableArray *)array
            addObjectsFromArray:[(__bridge NSArray *)other subarrayWithRange:range_of(range)]];
    }
}

void CFArrayInsertValueAtIndex(CFMutableArrayRef array, CFIndex index, const void *value) {
    CFRequire(array);
    CFRequire(value);
    require_range(array, CFRangeMake(index, 0), __func__);
    [(__bridge NSMutableArray *)array insertObject:(__bridge id)value atIndex:(NSUInteger)index];
}

void CFArraySetValueAtIndex(CFMutableArrayRef array, CFIndex index, const void *value) {
    CFRequire(array);
    CFRequire(value);
    require_range(array, CFRangeMake(index, 0), __func__);
    if (index == CFArrayGetCount(array))
        CFArrayAppendValue(array, value);
    else
        [(__bridge NSMutableArray *)array replaceObjectAtIndex:(NSUInteger)index withObject:(__bridge id)value];
}

void CFArrayRemoveValueAtIndex(CFMutableArrayRef array, CFIndex index) {
    CFRequire(array);
    require_range(array, CFRangeMake(index, 1), __func__);
    [(__bridge NSMutableArray *)array removeObjectAtIndex:(NSUInteger)index];
}

void CFArrayRemoveAllValues(CFMutableArrayRef array) {
    CFRequire(array);
    [(__bridge NSMutableArray *)array removeAllObjects];
}
