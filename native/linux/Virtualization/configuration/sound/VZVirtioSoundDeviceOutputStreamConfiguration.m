// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZVirtioSoundDeviceOutputStreamConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioSoundDeviceOutputStreamConfiguration *copy = [super copyWithZone:zone];
    copy.sink = self.sink;
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    id given = self.sink;
    if (given != nil && ![given isKindOfClass:[VZHostAudioOutputStreamSink class]]) {
        return VZRefuseClass(given, [property stringByAppendingString:@".sink"], @"VZHostAudioOutputStreamSink", error);
    }
    return YES;
}

@end
