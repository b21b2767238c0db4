// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>

static NSRange checked_in_data(CFDataRef data, CFRange range, const char *function) {
    CFIndex length = CFDataGetLength(data);
    if (range.location < 0 || range.length < 0 || range.location > length || range.length > length - range.location)
        CFFatal(function, "was called with a range that the data does not have");
    return NSMakeRange((NSUInteger)range.location, (NSUInteger)range.length);
}

static NSUInteger length_of(CFIndex length, const char *function) {
    if (length < 0)
        CFFatal(function, "was called with a negative length");
    return (NSUInteger)length;
}

CFTypeID CFDataGetTypeID(void) {
    return CFTypeData;
}

CFDataRef CFDataCreate(CFAllocatorRef allocator, const UInt8 *bytes, CFIndex length) {
    (void)allocator;
    return (__bridge_retained CFDataRef)[[NSData alloc] initWithBytes:bytes length:length_of(length, __func__)];
}

CFDataRef CFDataCreateWithBytesNoCopy(CFAllocatorRef allocator, const UInt8 *bytes, CFIndex length,
                                      CFAllocatorRef bytesDeallocator) {
    (void)allocator;
    return (__bridge_retained CFDataRef)[[NSData alloc] initWithBytesNoCopy:(void *)(uintptr_t)bytes
                                                                     length:length_of(length, __func__)
                                                               freeWhenDone:bytesDeallocator != kCFAllocatorNull];
}

CFDataRef CFDataCreateCopy(CFAllocatorRef allocator, CFDataRef data) {
    (void)allocator;
    CFRequire(data);
    return (__bridge_retained CFDataRef)[(__bridge NSData *)data copy];
}

CFMutableDataRef CFDataCreateMutable(CFAllocatorRef allocator, CFIndex capacity) {
    (void)allocator, (void)capacity;
    return (__bridge_retained CFMutableDataRef)[[NSMutableData alloc] init];
}

CFMutableDataRef CFDataCreateMutableCopy(CFAllocatorRef allocator, CFIndex capacity, CFDataRef data) {
    (void)allocator, (void)capacity;
    CFRequire(data);
    return (__bridge_retained CFMutableDataRef)[(__bridge NSData *)data mutableCopy];
}

CFIndex CFDataGetLength(CFDataRef data) {
    CFRequire(data);
    return (CFIndex)[(__bridge NSData *)data length];
}

const UInt8 *CFDataGetBytePtr(CFDataRef data) {
    CFRequire(data);
    return [(__bridge NSData *)data bytes];
}

UInt8 *CFDataGetMutableBytePtr(CFMutableDataRef data) {
    CFRequire(data);
    return [(__bridge NSMutableData *)data mutableBytes];
}

void CFDataGetBytes(CFDataRef data, CFRange range, UInt8 *buffer) {
    [(__bridge NSData *)data getBytes:buffer range:checked_in_data(data, range, __func__)];
}

void CFDataSetLength(CFMutableDataRef data, CFIndex length) {
    CFRequire(data);
    [(__bridge NSMutableData *)data setLength:length_of(length, __func__)];
}

void CFDataIncreaseLength(CFMutableDataRef data, CFIndex extra) {
    CFRequire(data);
    [(__bridge NSMutableData *)data increaseLengthBy:length_of(extra, __func__)];
}

void CFDataAppendBytes(CFMutableDataRef data, const UInt8 *bytes, CFIndex length) {
    CFRequire(data);
    [(__bridge NSMutableData *)data appendBytes:bytes length:length_of(length, __func__)];
}

void CFDataReplaceBytes(CFMutableDataRef data, CFRange range, const UInt8 *bytes, CFIndex length) {
    [(__bridge NSMutableData *)data replaceBytesInRange:checked_in_data(data, range, __func__)
                                              withBytes:bytes
                                                 length:length_of(length, __func__)];
}

void CFDataDeleteBytes(CFMutableDataRef data, CFRange range) {
    CFDataReplaceBytes(data, range, NULL, 0);
}
