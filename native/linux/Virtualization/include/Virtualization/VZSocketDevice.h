// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What gives a machine's guest sockets to its host, from VZVirtualMachine.socketDevices; never made by a program.
/// Abstract: it is of the class that fits the configuration's, as VZVirtioSocketDevice.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZSocketDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
