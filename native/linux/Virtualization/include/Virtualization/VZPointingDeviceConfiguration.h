// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A pointing device of the machine. Abstract: make a VZUSBScreenCoordinatePointingDeviceConfiguration.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZPointingDeviceConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
