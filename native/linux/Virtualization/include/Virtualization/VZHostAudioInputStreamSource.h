// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZAudioInputStreamSource.h>

NS_ASSUME_NONNULL_BEGIN

/// The host's microphone, by the driver of QEMU's that the environment variable APPLEVZ_QEMU_AUDIO names ("pa",
/// "pipewire", "alsa"); silence where it names none, as a process needs no sound server.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZHostAudioInputStreamSource : VZAudioInputStreamSource

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
