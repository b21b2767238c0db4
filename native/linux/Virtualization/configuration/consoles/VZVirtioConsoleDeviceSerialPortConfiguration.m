// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZVirtioConsoleDeviceSerialPortConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    VZSerialPortAttachment *attachment = self.attachment;
    NSString *name = [property stringByAppendingString:@".attachment"];
    // Nothing in a guest looks for its agent's port on a serial port, and QEMU saves none of its state.
    if ([attachment isKindOfClass:[VZSpiceAgentPortAttachment class]]) {
        return VZRefuseConfiguration(error, [name stringByAppendingString:@" is a VZSpiceAgentPortAttachment."],
                                     @"Give it to a port of a VZVirtioConsoleDeviceConfiguration.");
    }
    return !attachment || [attachment validateAs:name error:error];
}

@end
