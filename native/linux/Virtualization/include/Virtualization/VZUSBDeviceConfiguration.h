// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What a USB device is made of: a VZUSBMassStorageDeviceConfiguration.
API_AVAILABLE(macos(15.0))
@protocol VZUSBDeviceConfiguration <NSObject>

/// A new one by default. A machine is restored with devices that have the identifiers of those that it was saved with.
@property (readwrite, copy) NSUUID *uuid;

@end

NS_ASSUME_NONNULL_END
