// SPDX-License-Identifier: Apache-2.0
#import "dhcp_leases.h"
#import <arpa/inet.h>
#import <errno.h>
#import <fcntl.h>
#import <stdlib.h>
#import <string.h>
#import <sys/stat.h>
#import <unistd.h>

enum {
    // A lease is a hundred bytes or two. What comes later in a longer file is not looked at.
    LONGEST_LEASES = 1 << 20,
    MAC_LENGTH = 6,
    // What a hardware address begins with: the type of Ethernet, or that a client identifier follows (RFC 4361).
    ETHERNET = 0x01,
    CLIENT_IDENTIFIER = 0xff,
    // Its first four bytes are a number of the client's own; a DUID follows, and that begins with its type.
    DUID_OFFSET = 4,
    DUID_OF_CARD_AND_TIME = 1, // type, hardware type, time, address
    DUID_OF_CARD = 3,          // type, hardware type, address
    DUID_OF_CARD_AND_TIME_LENGTH = 2 + 2 + 4 + MAC_LENGTH,
    DUID_OF_CARD_LENGTH = 2 + 2 + MAC_LENGTH,
};

/// The bytes of hexadecimal numbers with a separator between them, which bootpd writes without leading zeros. nil for
/// anything else.
static NSData *bytes_of(NSString *text) {
    NSMutableData *bytes = [NSMutableData data];
    for (NSString *part in [text componentsSeparatedByString:@":"]) {
        const char *digits = part.UTF8String ?: "";
        size_t count = strlen(digits);
        if (count < 1 || count > 2 || strspn(digits, "0123456789abcdefABCDEF") != count)
            return nil;
        [bytes appendBytes:&(unsigned char){(unsigned char)strtoul(digits, NULL, 16)} length:1];
    }
    return bytes;
}

/// The address of the card that "1,52:54:0:a:b:c" or "ff,…" tells of; nil where it tells of none.
static NSData *card_of(NSString *hardware_address) {
    NSRange comma = [hardware_address rangeOfString:@","];
    if (comma.location == NSNotFound)
        return nil;
    NSData *type = bytes_of([hardware_address substringToIndex:comma.location]);
    NSData *rest = bytes_of([hardware_address substringFromIndex:NSMaxRange(comma)]);
    if (type.length != 1 || rest == nil)
        return nil;
    unsigned char kind = *(const unsigned char *)type.bytes;
    if (kind == ETHERNET)
        return rest.length == MAC_LENGTH ? rest : nil;
    if (kind != CLIENT_IDENTIFIER || rest.length < DUID_OFFSET + 2)
        return nil;
    const unsigned char *bytes = rest.bytes;
    unsigned duid = (unsigned)bytes[DUID_OFFSET] << 8 | bytes[DUID_OFFSET + 1];
    NSUInteger length = rest.length - DUID_OFFSET;
    if ((duid == DUID_OF_CARD_AND_TIME && length == DUID_OF_CARD_AND_TIME_LENGTH) ||
        (duid == DUID_OF_CARD && length == DUID_OF_CARD_LENGTH))
        return [rest subdataWithRange:NSMakeRange(rest.length - MAC_LENGTH, MAC_LENGTH)];
    return nil;
}

/// As the system writes it; nil where it is none. What follows a NUL is not looked at, and not kept.
static NSString *address_of(NSString *text) {
    struct in_addr address;
    char written[INET_ADDRSTRLEN];
    const char *given = text.UTF8String;
    if (given == NULL || inet_pton(AF_INET, given, &address) != 1 ||
        inet_ntop(AF_INET, &address, written, sizeof written) == NULL)
        return nil;
    return [NSString stringWithUTF8String:written];
}

NSString *applevz_text_of_leases(NSString *path, int *number) {
    // A FIFO or a device is not waited for; a regular file, though others may cut it, is read as far as it goes.
    // By the text's own bytes: Foundation's for a file system may be those of decomposed characters, another name to
    // some.
    int file = open(path.UTF8String ?: "", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    *number = file < 0 || fstat(file, &status) != 0 ? errno : !S_ISREG(status.st_mode) ? EINVAL : 0;
    NSUInteger room = *number == 0 ? (NSUInteger)MIN(status.st_size, LONGEST_LEASES) : 0;
    NSMutableData *data = [NSMutableData dataWithLength:room];
    NSUInteger length = 0;
    ssize_t count = 1;
    while (count > 0 && length < room) {
        count = read(file, (char *)data.mutableBytes + length, room - length);
        if (count > 0)
            length += (NSUInteger)count;
        else if (count < 0 && errno == EINTR)
            count = 1;
        else if (count < 0)
            *number = errno;
    }
    if (file >= 0)
        close(file);
    if (*number != 0)
        return nil;
    data.length = length;
    // A guest's name stands in it as the guest gave it; all that is looked for is ASCII.
    return [[NSString alloc] initWithData:data encoding:NSISOLatin1StringEncoding];
}

NSString *applevz_leased_address(NSString *leases, NSString *mac_address) {
    NSData *wanted = bytes_of(mac_address);
    if (wanted.length != MAC_LENGTH)
        return nil;
    NSString *found = nil;
    unsigned long long found_end = 0;
    NSMutableDictionary<NSString *, NSString *> *lease = [NSMutableDictionary dictionary];
    for (NSString *line in [leases componentsSeparatedByString:@"\n"]) {
        NSString *text = [line stringByTrimmingCharactersInSet:NSCharacterSet.whitespaceCharacterSet];
        NSRange equals = [text rangeOfString:@"="];
        if ([text isEqualToString:@"{"]) {
            [lease removeAllObjects];
        } else if (equals.location != NSNotFound) {
            lease[[text substringToIndex:equals.location]] = [text substringFromIndex:NSMaxRange(equals)];
        } else if ([text isEqualToString:@"}"]) {
            unsigned long long end = strtoull(lease[@"lease"].UTF8String ?: "0", NULL, 16);
            NSString *hardware_address = lease[@"hw_address"];
            NSString *address = address_of(lease[@"ip_address"]);
            if (hardware_address != nil && [card_of(hardware_address) isEqualToData:wanted] && address != nil &&
                (found == nil || end >= found_end)) {
                found = address;
                found_end = end;
            }
            [lease removeAllObjects];
        }
    }
    return found;
}
