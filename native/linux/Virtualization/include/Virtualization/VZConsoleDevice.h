// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A console device of a machine, from VZVirtualMachine.consoleDevices; never made by a program.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZConsoleDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
