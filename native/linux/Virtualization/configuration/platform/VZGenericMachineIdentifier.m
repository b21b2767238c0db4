// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#include <string.h>

// The data representation: a mark that tells it from other data, then the sixteen bytes of the UUID.
static const unsigned char mark[4] = {'V', 'Z', 'G', 1};
enum { uuidLength = 16, representationLength = sizeof mark + uuidLength };

@implementation VZGenericMachineIdentifier {
    NSUUID *_UUID;
}

@synthesize UUID = _UUID;

- (instancetype)init {
    if ((self = [super init])) {
        _UUID = [NSUUID UUID];
    }
    return self;
}

- (instancetype)initWithDataRepresentation:(NSData *)dataRepresentation {
    const unsigned char *bytes = dataRepresentation.bytes;
    if (dataRepresentation.length != representationLength || memcmp(bytes, mark, sizeof mark) != 0) {
        return nil;
    }
    if ((self = [super init])) {
        _UUID = [[NSUUID alloc] initWithUUIDBytes:(unsigned char *)bytes + sizeof mark];
    }
    return self;
}

- (NSData *)dataRepresentation {
    unsigned char bytes[representationLength];
    memcpy(bytes, mark, sizeof mark);
    [_UUID getUUIDBytes:bytes + sizeof mark];
    return [NSData dataWithBytes:bytes length:sizeof bytes];
}

- (id)copyWithZone:(NSZone *)zone {
    (void)zone;
    return self;
}

- (BOOL)isEqual:(id)other {
    return self == other || ([other isKindOfClass:[VZGenericMachineIdentifier class]] &&
                             [_UUID isEqual:((VZGenericMachineIdentifier *)other)->_UUID]);
}

- (NSUInteger)hash {
    return _UUID.hash;
}

- (NSString *)description {
    return [NSString stringWithFormat:@"<%@: %p> %@", [self class], (__bridge void *)self, _UUID.UUIDString];
}

@end
