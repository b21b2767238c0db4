// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A disk of a machine. Abstract: make a VZUSBMassStorageDevice.
VZ_EXPORT API_AVAILABLE(macos(15.0)) @interface VZStorageDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
