// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZVirtioSoundDeviceStreamConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

@class VZAudioInputStreamSource;

/// A stream that the guest records from.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZVirtioSoundDeviceInputStreamConfiguration
    : VZVirtioSoundDeviceStreamConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// Silence without one.
@property (nullable, strong) VZAudioInputStreamSource *source;

@end

NS_ASSUME_NONNULL_END
