// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZAudioOutputStreamSink.h>

NS_ASSUME_NONNULL_BEGIN

/// The host's loudspeakers, by the driver that APPLEVZ_QEMU_AUDIO names; nothing is heard where it names none.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZHostAudioOutputStreamSink : VZAudioOutputStreamSink

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
