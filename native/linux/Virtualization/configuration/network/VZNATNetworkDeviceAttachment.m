// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZNATNetworkDeviceAttachment

- (instancetype)init {
    if ((self = [super initForSubclass]))
        _applevzHasInternet = YES;
    return self;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    // There is nothing in it that could be wrong.
    (void)property;
    (void)error;
    return YES;
}

@end
