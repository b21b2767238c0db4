// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZMACAddress.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { groupBit = 0x01, localBit = 0x02, octetCount = 6 };

static int valueOfDigit(unichar digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

@implementation VZMACAddress

- (instancetype)initWithEthernetAddress:(ether_addr_t)ethernetAddress {
    if ((self = [super init])) {
        _ethernetAddress = ethernetAddress;
    }
    return self;
}

- (instancetype)initWithString:(NSString *)string {
    ether_addr_t address;
    if (string.length != octetCount * 3 - 1) {
        return nil;
    }
    for (NSUInteger i = 0; i < octetCount; i++) {
        int high = valueOfDigit([string characterAtIndex:i * 3]);
        int low = valueOfDigit([string characterAtIndex:i * 3 + 1]);
        if (high < 0 || low < 0 || (i + 1 < octetCount && [string characterAtIndex:i * 3 + 2] != ':')) {
            return nil;
        }
        address.octet[i] = (uint8_t)(high << 4 | low);
    }
    return [self initWithEthernetAddress:address];
}

+ (instancetype)randomLocallyAdministeredAddress {
    ether_addr_t address;
    // Six bytes come whole or not at all; only a signal before the system's entropy is ready interrupts the call.
    while (getrandom(&address, sizeof address, 0) < 0) {
        if (errno != EINTR) {
            [NSException raise:NSInternalInconsistencyException format:@"getrandom: %s", strerror(errno)];
        }
    }
    address.octet[0] = (uint8_t)((address.octet[0] & ~groupBit) | localBit);
    return [[self alloc] initWithEthernetAddress:address];
}

- (NSString *)string {
    const uint8_t *octet = _ethernetAddress.octet;
    return [NSString
        stringWithFormat:@"%02x:%02x:%02x:%02x:%02x:%02x", octet[0], octet[1], octet[2], octet[3], octet[4], octet[5]];
}

- (BOOL)isBroadcastAddress {
    static const ether_addr_t broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    return memcmp(&_ethernetAddress, &broadcast, sizeof broadcast) == 0;
}

- (BOOL)isMulticastAddress {
    return (_ethernetAddress.octet[0] & groupBit) != 0;
}

- (BOOL)isUnicastAddress {
    return !self.isMulticastAddress;
}

- (BOOL)isLocallyAdministeredAddress {
    return (_ethernetAddress.octet[0] & localBit) != 0;
}

- (BOOL)isUniversallyAdministeredAddress {
    return !self.isLocallyAdministeredAddress;
}

- (id)copyWithZone:(NSZone *)zone {
    (void)zone;
    return self;
}

- (BOOL)isEqual:(id)other {
    if (![other isKindOfClass:[VZMACAddress class]]) {
        return NO;
    }
    ether_addr_t address = [(VZMACAddress *)other ethernetAddress];
    return memcmp(&_ethernetAddress, &address, sizeof address) == 0;
}

- (NSUInteger)hash {
    NSUInteger hash = 0;
    memcpy(&hash, &_ethernetAddress, sizeof _ethernetAddress < sizeof hash ? sizeof _ethernetAddress : sizeof hash);
    return hash;
}

- (NSString *)description {
    return [NSString stringWithFormat:@"<%@: %p> %@", [self class], (__bridge void *)self, self.string];
}

@end
