// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZHostAudioInputStreamSource

- (instancetype)init {
    return [super initForSubclass];
}

@end
