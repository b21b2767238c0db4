// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZConsolePortConfiguration

- (instancetype)initForSubclass {
    return [super init];
}

- (id)copyWithZone:(NSZone *)zone {
    VZConsolePortConfiguration *copy = [[[self class] allocWithZone:zone] initForSubclass];
    copy.attachment = self.attachment;
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property, @"VZVirtioConsolePortConfiguration", error);
}

@end
