// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZConsoleDevice.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioConsoleDevice;
@class VZVirtioConsolePort;
@class VZVirtioConsolePortArray;

/// What a guest does with the ports of a console device. Called on the machine's queue. QEMU tells of a port at most
/// once a second: of what happens faster a part is told later, and what undoes itself within the second once.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @protocol VZVirtioConsoleDeviceDelegate<NSObject>

@optional

/// A program of the guest opened the port.
- (void)consoleDevice:(VZVirtioConsoleDevice *)consoleDevice didOpenPort:(VZVirtioConsolePort *)consolePort;

/// The program that had the port open closed it.
- (void)consoleDevice:(VZVirtioConsoleDevice *)consoleDevice didClosePort:(VZVirtioConsolePort *)consolePort;

@end

/// A console device of a machine with its ports. Use it on its machine's queue.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioConsoleDevice : VZConsoleDevice

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@property (nullable, weak) id<VZVirtioConsoleDeviceDelegate> delegate;

/// The ports of the configuration.
@property (readonly) VZVirtioConsolePortArray *ports;

@end

NS_ASSUME_NONNULL_END
