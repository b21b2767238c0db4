// SPDX-License-Identifier: Apache-2.0
#import "types.h"

#include <limits.h>
#include <string.h>

static const NSStringEncoding unknownEncoding = 0;

static NSStringEncoding foundationEncoding(CFStringEncoding encoding) {
    switch (encoding) {
    case kCFStringEncodingMacRoman:
        return NSMacOSRomanStringEncoding;
    case kCFStringEncodingISOLatin1:
        return NSISOLatin1StringEncoding;
    case kCFStringEncodingASCII:
        return NSASCIIStringEncoding;
    case kCFStringEncodingUTF8:
        return NSUTF8StringEncoding;
    case kCFStringEncodingUTF16BE:
        return NSUTF16BigEndianStringEncoding;
    case kCFStringEncodingUTF16: // in the order of the host: all that GNUstep and this project run on is little-endian
    case kCFStringEncodingUTF16LE:
        return NSUTF16LittleEndianStringEncoding;
    case kCFStringEncodingUTF32:
        return NSUTF32LittleEndianStringEncoding;
    default:
        return unknownEncoding;
    }
}

// The most bytes that one UTF-16 code unit takes. A pair of them takes four in UTF-8, which is less than two times
// three.
static CFIndex bytesOfCodeUnit(CFStringEncoding encoding) {
    switch (encoding) {
    case kCFStringEncodingUTF8:
        return 3;
    case kCFStringEncodingUTF16:
    case kCFStringEncodingUTF16BE:
    case kCFStringEncodingUTF16LE:
        return 2;
    case kCFStringEncodingUTF32:
        return 4;
    default:
        return 1;
    }
}

// The encodings whose code unit is a byte end in one NUL byte.
static CFIndex bytesOfTerminator(CFStringEncoding encoding) {
    return encoding == kCFStringEncodingUTF8 ? 1 : bytesOfCodeUnit(encoding);
}

CFTypeID CFStringGetTypeID(void) {
    return CFTypeString;
}

CFStringRef CFStringCreateWithCString(CFAllocatorRef allocator, const char *text, CFStringEncoding encoding) {
    return CFStringCreateWithBytes(allocator, (const UInt8 *)text, (CFIndex)strlen(text), encoding, false);
}

CFStringRef CFStringCreateWithBytes(CFAllocatorRef allocator, const UInt8 *bytes, CFIndex count,
                                    CFStringEncoding encoding, Boolean isExternalRepresentation) {
    (void)allocator, (void)isExternalRepresentation; // Foundation reads a byte order mark where there is one
    NSStringEncoding known = foundationEncoding(encoding);
    if (known == unknownEncoding || count < 0) {
        return NULL;
    }
    @autoreleasepool {
        return (__bridge_retained CFStringRef)[[NSString alloc] initWithBytes:bytes
                                                                       length:(NSUInteger)count
                                                                     encoding:known];
    }
}

CFStringRef CFStringCreateCopy(CFAllocatorRef allocator, CFStringRef string) {
    (void)allocator;
    CFRequire(string);
    @autoreleasepool {
        return (__bridge_retained CFStringRef)[(__bridge NSString *)string copy];
    }
}

CFIndex CFStringGetLength(CFStringRef string) {
    CFRequire(string);
    return (CFIndex)[(__bridge NSString *)string length];
}

CFIndex CFStringGetMaximumSizeForEncoding(CFIndex length, CFStringEncoding encoding) {
    CFIndex unit = bytesOfCodeUnit(encoding);
    if (foundationEncoding(encoding) == unknownEncoding || length < 0 || length > LONG_MAX / unit) {
        return kCFNotFound;
    }
    return length * unit;
}

Boolean CFStringGetCString(CFStringRef string, char *buffer, CFIndex size, CFStringEncoding encoding) {
    CFIndex terminator = bytesOfTerminator(encoding);
    CFIndex length = CFStringGetLength(string);
    if (!buffer || size < terminator) {
        return false;
    }
    CFIndex used = 0;
    CFIndex converted =
        CFStringGetBytes(string, CFRangeMake(0, length), encoding, 0, false, (UInt8 *)buffer, size - terminator, &used);
    if (converted != length) {
        return false;
    }
    memset(buffer + used, 0, (size_t)terminator);
    return true;
}

const char *CFStringGetCStringPtr(CFStringRef string, CFStringEncoding encoding) {
    (void)encoding;
    CFRequire(string);
    return NULL;
}

// One character at a time: what fits is decided by whole characters, and a surrogate pair is one.
static NSUInteger lengthOfCharacter(NSString *string, NSUInteger index, NSUInteger end) {
    unichar first = [string characterAtIndex:index];
    if (first < 0xd800 || first > 0xdbff || index + 1 >= end) {
        return 1;
    }
    unichar second = [string characterAtIndex:index + 1];
    return second >= 0xdc00 && second <= 0xdfff ? 2 : 1;
}

CFIndex CFStringGetBytes(CFStringRef string, CFRange range, CFStringEncoding encoding, UInt8 lossByte,
                         Boolean isExternalRepresentation, UInt8 *buffer, CFIndex size, CFIndex *usedSize) {
    CFRequire(string);
    (void)isExternalRepresentation; // a byte order mark is never written
    NSString *bridged = (__bridge NSString *)string;
    NSStringEncoding known = foundationEncoding(encoding);
    CFIndex converted = 0;
    CFIndex used = 0;
    @autoreleasepool {
        NSUInteger end = (NSUInteger)(range.location + range.length);
        NSRange wholeRange = NSMakeRange((NSUInteger)range.location, (NSUInteger)range.length);
        NSString *whole = [bridged substringWithRange:wholeRange];
        NSData *wholeBytes = known != unknownEncoding ? [whole dataUsingEncoding:known allowLossyConversion:NO] : nil;
        if (wholeBytes && (!buffer || (CFIndex)[wholeBytes length] <= size)) {
            used = (CFIndex)[wholeBytes length];
            if (buffer && used) {
                memcpy(buffer, [wholeBytes bytes], (size_t)used);
            }
            if (usedSize) {
                *usedSize = used;
            }
            return range.length;
        }
        for (NSUInteger index = (NSUInteger)range.location; known != unknownEncoding && index < end;) {
            NSUInteger length = lengthOfCharacter(bridged, index, end);
            NSString *character = [bridged substringWithRange:NSMakeRange(index, length)];
            NSData *bytes = [character dataUsingEncoding:known allowLossyConversion:NO];
            if (!bytes && !lossByte) {
                break;
            }
            CFIndex count = bytes ? (CFIndex)[bytes length] : 1;
            if (buffer && used + count > size) {
                break;
            }
            if (buffer) {
                memcpy(buffer + used, bytes ? [bytes bytes] : &lossByte, (size_t)count);
            }
            used += count;
            index += length;
            converted += (CFIndex)length;
        }
    }
    if (usedSize) {
        *usedSize = used;
    }
    return converted;
}
