// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZVirtioSoundDeviceStreamConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

@class VZAudioOutputStreamSink;

/// A stream that the guest plays.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZVirtioSoundDeviceOutputStreamConfiguration
    : VZVirtioSoundDeviceStreamConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// What is played is dropped without one.
@property (nullable, strong) VZAudioOutputStreamSink *sink;

@end

NS_ASSUME_NONNULL_END
