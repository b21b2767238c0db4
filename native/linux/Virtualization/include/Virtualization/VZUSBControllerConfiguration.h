// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZUSBDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A USB controller of the machine. Abstract: make a VZXHCIControllerConfiguration.
VZ_EXPORT API_AVAILABLE(macos(15.0)) @interface VZUSBControllerConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The devices that are attached to it when the machine starts, none by default: at most 15.
@property (readwrite, copy) NSArray<id<VZUSBDeviceConfiguration>> *usbDevices;

@end

NS_ASSUME_NONNULL_END
