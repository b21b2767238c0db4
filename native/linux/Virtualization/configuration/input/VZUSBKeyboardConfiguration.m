// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZUSBKeyboardConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    (void)property;
    (void)error;
    return YES;
}

@end
