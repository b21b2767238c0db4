// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZAudioDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioSoundDeviceStreamConfiguration;

/// A virtio sound card. Not a QEMU before 8.2 has it: validation then fails with VZErrorNotSupported.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZVirtioSoundDeviceConfiguration : VZAudioDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// Empty by default; at least one is needed. QEMU has as many for input as for output, or one less.
@property (copy) NSArray<VZVirtioSoundDeviceStreamConfiguration *> *streams;

@end

NS_ASSUME_NONNULL_END
