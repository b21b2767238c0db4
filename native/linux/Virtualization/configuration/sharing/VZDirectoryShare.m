// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZDirectoryShare

- (instancetype)initForSubclass {
    return [super init];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property, @"VZSingleDirectoryShare or VZMultipleDirectoryShare", error);
}

@end
