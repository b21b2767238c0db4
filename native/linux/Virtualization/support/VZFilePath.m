// SPDX-License-Identifier: Apache-2.0
#import "VZFilePath+Private.h"
#import "VZHostFile+Private.h"
#include <stdlib.h>
#include <string.h>

// A byte that is not part of a character in UTF-8 is this and itself, from 0x80 on; and the two units of UTF-16 for it.
enum { escapedByte = 0x10f700, firstUnit = 0xdbfd, secondUnit = 0xdf00 };

#pragma mark Bytes and text

// How many bytes the character at the beginning has; 0 where there is none in UTF-8.
static size_t lengthOfCharacter(const unsigned char *bytes, size_t length, uint32_t *character) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = bytes[0];
    size_t count = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (count == 0 || count > length) {
        return 0;
    }
    uint32_t value = count == 1 ? first : first & (0x7f >> count);
    for (size_t i = 1; i < count; i++) {
        if (bytes[i] >> 6 != 2) {
            return 0;
        }
        value = value << 6 | (bytes[i] & 0x3f);
    }
    *character = value;
    BOOL isNone = value < smallest[count] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000);
    return isNone || (value >= escapedByte + 0x80 && value <= escapedByte + 0xff) ? 0 : count;
}

static NSString *pathWithBytes(const unsigned char *bytes, size_t length) {
    NSMutableData *units = [NSMutableData dataWithLength:2 * length * sizeof(unichar)];
    unichar *unit = units.mutableBytes;
    NSUInteger count = 0;
    for (size_t i = 0; i < length;) {
        uint32_t character = 0;
        size_t size = lengthOfCharacter(bytes + i, length - i, &character);
        if (size == 0) {
            character = escapedByte + bytes[i];
            size = 1;
        }
        i += size;
        if (character >= 0x10000) {
            unit[count++] = (unichar)(0xd800 + ((character - 0x10000) >> 10));
            character = 0xdc00 + ((character - 0x10000) & 0x3ff);
        }
        unit[count++] = (unichar)character;
    }
    return [NSString stringWithCharacters:unit length:count];
}

NSString *VZPathWithBytes(const char *bytes) {
    return pathWithBytes((const unsigned char *)bytes, strlen(bytes));
}

NSString *VZEscapedPath(const char *bytes) {
    NSMutableString *text = [NSMutableString string];
    for (; *bytes; bytes++) {
        unsigned char byte = (unsigned char)*bytes;
        BOOL plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                     strchr("/-._~", byte);
        [text appendFormat:plain ? @"%c" : @"%%%02X", byte];
    }
    return text;
}

NSString *VZPathInEnvironment(const char *variable) {
    // getenv, not NSProcessInfo, which keeps the environment of the moment when it was first asked.
    const char *value = getenv(variable);
    return value && *value ? VZPathWithBytes(value) : nil;
}

static void appendCharacter(NSMutableData *data, uint32_t character) {
    unsigned char bytes[4];
    size_t count = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = count - 1; i > 0; i--) {
        bytes[i] = (unsigned char)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    bytes[0] = (unsigned char)(marks[count] | character);
    [data appendBytes:bytes length:count];
}

// The byte that a pair of UTF-16 units stands for; -1 if they do for none.
static int byteOfUnits(unichar first, unichar second) {
    return first == firstUnit && second >= secondUnit + 0x80 && second <= secondUnit + 0xff ? second - secondUnit : -1;
}

NSString *VZPathWithShownBytes(NSString *path) {
    NSMutableString *shown = nil;
    for (NSUInteger i = path.length; i-- > 1;) {
        int byte = byteOfUnits([path characterAtIndex:i - 1], [path characterAtIndex:i]);
        if (byte >= 0) {
            shown = shown ?: [path mutableCopy];
            [shown replaceCharactersInRange:NSMakeRange(i - 1, 2)
                                 withString:[NSString stringWithFormat:@"\\x%02x", byte]];
            i--;
        }
    }
    return shown ?: path;
}

const char *VZBytesOfPath(NSString *path) {
    NSMutableData *data = [NSMutableData dataWithCapacity:path.length + 1];
    NSUInteger length = path.length;
    for (NSUInteger i = 0; i < length; i++) {
        uint32_t unit = [path characterAtIndex:i];
        unichar next = i + 1 < length ? [path characterAtIndex:i + 1] : 0;
        int byte = byteOfUnits((unichar)unit, next);
        if (byte >= 0) {
            [data appendBytes:&(unsigned char){(unsigned char)byte} length:1];
            i++;
        } else if (unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
            appendCharacter(data, 0x10000 + ((unit - 0xd800) << 10) + (next - 0xdc00u));
            i++;
        } else {
            appendCharacter(data, unit);
        }
    }
    [data appendBytes:"" length:1];
    return ((NSData *)data).bytes;
}

#pragma mark Parts

NSString *VZFolderOfPath(NSString *path, NSString **name) {
    NSRange slash = [path rangeOfString:@"/" options:NSBackwardsSearch | NSLiteralSearch];
    NSUInteger end = slash.location == NSNotFound ? 0 : NSMaxRange(slash);
    if (name) {
        *name = [path substringFromIndex:end];
    }
    return end > 0 ? [path substringToIndex:end] : @".";
}

#pragma mark URLs

static int hexadecimal(unsigned char character) {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    character |= 0x20;
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

// What of a file URL's text is its path, with the escapes undone; nil where it has none.
static NSData *bytesOfURL(NSString *text) {
    NSData *utf8 = text ? VZUTF8Data(text) : nil;
    const unsigned char *from = utf8.bytes;
    if (!utf8 || strncasecmp((const char *)from, "file:", 5) != 0) {
        return nil;
    }
    from += 5;
    if (strncmp((const char *)from, "//", 2) == 0) {
        from += 2;
        from += strcspn((const char *)from, "/?#");
    }
    NSMutableData *bytes = [NSMutableData data];
    for (size_t length = strcspn((const char *)from, "?#"); length > 0; length--) {
        unsigned char byte = *from++;
        int high = byte == '%' && length > 2 ? hexadecimal(from[0]) : -1;
        int low = high >= 0 ? hexadecimal(from[1]) : -1;
        if (low >= 0) {
            byte = (unsigned char)(high << 4 | low);
            from += 2;
            length -= 2;
        }
        [bytes appendBytes:&byte length:1];
    }
    return bytes;
}

NSString *VZPathOfFileURL(NSURL *url, NSString **reason) {
    if (!url) {
        *reason = @"is nil; it must be the URL of a file";
        return nil;
    }
    // Not its -path, which has no text for a name that is not UTF-8, ends at a NUL without a word, and leaves out the
    // slash at the end, with which only a folder has a name.
    NSData *bytes = url.isFileURL ? bytesOfURL(url.absoluteString) : nil;
    const unsigned char *first = bytes.bytes;
    if (!bytes) {
        *reason = [NSString
            stringWithFormat:@"is %@, which is not the URL of a file on this host", VZQuoted(url.absoluteString)];
    } else if (bytes.length == 0 || first[0] != '/') {
        *reason = [NSString stringWithFormat:@"is %@, which has no path from the root", VZQuoted(url.absoluteString)];
    } else if (memchr(first, 0, bytes.length)) {
        *reason =
            [NSString stringWithFormat:@"is %@, whose path has a NUL character in it", VZQuoted(url.absoluteString)];
    } else {
        return pathWithBytes(first, bytes.length);
    }
    return nil;
}

NSString *VZQuotedPathOfFileURL(NSURL *url) {
    NSString *reason = nil;
    return VZQuoted(VZPathOfFileURL(url, &reason) ?: url.absoluteString);
}

NSString *VZResolvedPathOfFileURL(NSURL *url) {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    char *resolved = path ? realpath(VZBytesOfPath(path), NULL) : NULL;
    NSString *result = resolved ? VZPathWithBytes(resolved) : path;
    free(resolved);
    return result;
}
