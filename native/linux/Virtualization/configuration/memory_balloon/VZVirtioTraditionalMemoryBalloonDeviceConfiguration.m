// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZVirtioTraditionalMemoryBalloonDeviceConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    // There is nothing in it that could be wrong.
    (void)property;
    (void)error;
    return YES;
}

@end
