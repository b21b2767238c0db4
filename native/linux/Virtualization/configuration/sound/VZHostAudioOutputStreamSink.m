// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZHostAudioOutputStreamSink

- (instancetype)init {
    return [super initForSubclass];
}

@end
