// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"

// What Linux has for the name of a file, as which udev shows a port.
enum { maximumNameLength = 255 };

// What is wrong with a name, to complete "name is …, which"; nil if nothing is.
static NSString *wrongWithName(NSString *name) {
    NSUInteger length = [name lengthOfBytesUsingEncoding:NSUTF8StringEncoding];
    if (name.length == 0) {
        return @"is empty";
    }
    if (length == 0) {
        return @"UTF-8 cannot encode";
    }
    if (length > maximumNameLength) {
        return [NSString stringWithFormat:@"takes %lu bytes in UTF-8", (unsigned long)length];
    }
    if ([name rangeOfCharacterFromSet:NSCharacterSet.controlCharacterSet].location != NSNotFound) {
        return @"has a control character in it";
    }
    return nil;
}

@implementation VZVirtioConsolePortConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (instancetype)initForSubclass {
    return [self init];
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioConsolePortConfiguration *copy = [super copyWithZone:zone];
    copy.name = self.name;
    copy.isConsole = self.isConsole;
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSString *wrong = self.name ? wrongWithName(self.name) : nil;
    if (wrong) {
        return VZRefuse(
            error, VZInvalidConfigurationError(
                       [NSString stringWithFormat:@"%@.name is %@, which %@.", property, VZQuoted(self.name), wrong],
                       [NSString stringWithFormat:@"Give a name of 1 to %d bytes without control characters, or none.",
                                                  maximumNameLength],
                       nil));
    }
    VZSerialPortAttachment *attachment = self.attachment;
    NSString *place = [property stringByAppendingString:@".attachment"];
    // No agent can open a port that is a console. QEMU 10 crashes: its side of the agent speaks as soon as it is
    // connected, which a console is before it is set up.
    if (self.isConsole && [attachment isKindOfClass:[VZSpiceAgentPortAttachment class]]) {
        return VZRefuseConfiguration(
            error, [place stringByAppendingString:@" is a VZSpiceAgentPortAttachment, and the port is a console."],
            @"Set isConsole to NO: a guest's agent cannot use a console.");
    }
    return !attachment || [attachment validateAs:place error:error];
}

@end
