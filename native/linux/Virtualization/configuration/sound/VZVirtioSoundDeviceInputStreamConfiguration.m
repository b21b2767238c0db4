// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZVirtioSoundDeviceInputStreamConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioSoundDeviceInputStreamConfiguration *copy = [super copyWithZone:zone];
    copy.source = self.source;
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    id given = self.source;
    if (given != nil && ![given isKindOfClass:[VZHostAudioInputStreamSource class]]) {
        return VZRefuseClass(given, [property stringByAppendingString:@".source"], @"VZHostAudioInputStreamSource",
                             error);
    }
    return YES;
}

@end
