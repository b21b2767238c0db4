// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"

// VIRTIO_BLK_ID_BYTES: the size of the buffer in which a guest gets the identifier.
enum { longestIdentifier = 20 };

@implementation VZVirtioBlockDeviceConfiguration

- (instancetype)initWithAttachment:(VZStorageDeviceAttachment *)attachment {
    if (!attachment) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: attachment is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if ((self = [super initForSubclassWithAttachment:attachment])) {
        _blockDeviceIdentifier = @"";
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioBlockDeviceConfiguration *copy = [super copyWithZone:zone];
    copy.blockDeviceIdentifier = self.blockDeviceIdentifier;
    return copy;
}

+ (BOOL)validateBlockDeviceIdentifier:(NSString *)blockDeviceIdentifier error:(NSError **)error {
    return [self validateIdentifier:blockDeviceIdentifier as:@"blockDeviceIdentifier" error:error];
}

+ (BOOL)validateIdentifier:(NSString *)identifier as:(NSString *)property error:(NSError **)error {
    NSString *reason = nil;
    if (!identifier) {
        reason = [NSString stringWithFormat:@"%@ is nil.", property];
    } else if (identifier.length > longestIdentifier) {
        reason = [NSString stringWithFormat:@"%@ is %@, which has %lu characters.", property, VZQuoted(identifier),
                                            (unsigned long)identifier.length];
    }
    for (NSUInteger i = 0; !reason && i < identifier.length; i++) {
        unichar character = [identifier characterAtIndex:i];
        if (character < 0x20 || character > 0x7e) {
            reason = [NSString stringWithFormat:@"%@ is %@, in which character %lu is not a printable ASCII one.",
                                                property, VZQuoted(identifier), (unsigned long)i + 1];
        }
    }
    if (!reason) {
        return YES;
    }
    return VZRefuse(
        error, VZInvalidConfigurationError(
                   reason, @"Use at most 20 printable ASCII characters, or none for a disk without identifier.", nil));
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSString *identifierName = [property stringByAppendingString:@".blockDeviceIdentifier"];
    NSString *attachmentName = [property stringByAppendingString:@".attachment"];
    if (!self.attachment) {
        return VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ is nil.", attachmentName],
                                                           @"Make the device with -initWithAttachment:.", nil));
    }
    return [[self class] validateIdentifier:self.blockDeviceIdentifier as:identifierName error:error] &&
           [self.attachment validateAs:attachmentName error:error];
}

@end
