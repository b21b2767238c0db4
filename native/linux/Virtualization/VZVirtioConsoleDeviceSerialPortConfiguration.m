// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"

@implementation VZVirtioConsoleDeviceSerialPortConfiguration

- (instancetype)init
{
    return [super initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error
{
    VZSerialPortAttachment *attachment = self.attachment;
    NSString *name = [property stringByAppendingString:@".attachment"];
    return !attachment || [attachment validateAs:name error:error];
}

@end
