// SPDX-License-Identifier: Apache-2.0
#import "VZNamedStorageDeviceAttachment+Private.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"

@implementation VZNamedStorageDeviceAttachment

- (instancetype)initWithName:(NSString *)name attachment:(VZStorageDeviceAttachment *)attachment {
    if ((self = [super init])) {
        _name = name;
        _attachment = attachment;
    }
    return self;
}

- (NSString *)nameOfData {
    return [NSString stringWithFormat:@"%@.attachment.%@", self.name, self.attachment.propertyOfData];
}

@end

static BOOL areSame(id one, id other) {
    if ([one isKindOfClass:[VZHostFile class]] && [other isKindOfClass:[VZHostFile class]]) {
        return [one isSameFileAs:other];
    }
    return [one isEqual:other];
}

BOOL VZValidateStorageIsDistinct(NSArray<VZNamedStorageDeviceAttachment *> *attachments, NSError **error) {
    NSMutableArray *identities = [[NSMutableArray alloc] init];
    for (VZNamedStorageDeviceAttachment *named in attachments) {
        NSString *name = named.nameOfData;
        id identity = [named.attachment identityAs:name error:error];
        if (!identity) {
            return NO;
        }
        for (NSUInteger i = 0; i < identities.count; i++) {
            if (areSame(identity, identities[i]) &&
                (named.attachment.isWritable || attachments[i].attachment.isWritable)) {
                return VZRefuse(
                    error, VZInvalidConfigurationError(
                               [NSString stringWithFormat:@"%@ is %@, the same image as %@, and not both are readOnly.",
                                                          name, named.attachment.shownData, attachments[i].nameOfData],
                               @"Give each writable disk an image of its own, or attach both with readOnly.", nil));
            }
        }
        [identities addObject:identity];
    }
    return YES;
}
