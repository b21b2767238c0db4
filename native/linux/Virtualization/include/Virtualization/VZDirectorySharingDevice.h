// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A directory sharing device of a machine, from VZVirtualMachine.directorySharingDevices; never made by a program.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZDirectorySharingDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
