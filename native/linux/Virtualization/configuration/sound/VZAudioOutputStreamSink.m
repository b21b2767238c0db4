// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZAudioOutputStreamSink

- (instancetype)initForSubclass {
    return [super init];
}

@end
