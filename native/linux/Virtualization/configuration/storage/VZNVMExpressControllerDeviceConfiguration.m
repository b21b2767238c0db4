// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZNVMExpressControllerDeviceConfiguration

- (instancetype)initWithAttachment:(VZStorageDeviceAttachment *)attachment {
    if (!attachment) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: attachment is nil", [self class], NSStringFromSelector(_cmd)];
    }
    return [super initForSubclassWithAttachment:attachment];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSString *name = [property stringByAppendingString:@".attachment"];
    if (!self.attachment) {
        return VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ is nil.", name],
                                                           @"Make the device with -initWithAttachment:.", nil));
    }
    return [self.attachment validateAs:name error:error];
}

@end
