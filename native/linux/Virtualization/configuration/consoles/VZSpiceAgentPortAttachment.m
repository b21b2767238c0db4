// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZSpiceAgentPortAttachment

+ (NSString *)spiceAgentPortName {
    return @"com.redhat.spice.0";
}

- (instancetype)init {
    if (!(self = [super initForSubclass])) {
        return nil;
    }
    _sharesClipboard = YES;
    return self;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return YES;
}

@end
