// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZAudioInputStreamSource

- (instancetype)initForSubclass {
    return [super init];
}

@end
