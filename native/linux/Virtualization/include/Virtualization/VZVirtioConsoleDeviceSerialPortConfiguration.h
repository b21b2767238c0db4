// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZSerialPortConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A serial port that the guest sees as the one port of a virtio console: hvc0, hvc1, … in Linux.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioConsoleDeviceSerialPortConfiguration : VZSerialPortConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
