// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZSerialPortAttachment

- (instancetype)initForSubclass {
    return [super init];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property,
                         @"VZFileHandleSerialPortAttachment, VZFileSerialPortAttachment or "
                         @"VZSpiceAgentPortAttachment",
                         error);
}

@end
