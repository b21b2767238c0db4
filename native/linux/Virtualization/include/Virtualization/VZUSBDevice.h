// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZUSBController;

/// A USB device of a machine, or one that can be attached to one: a VZUSBMassStorageDevice.
API_AVAILABLE(macos(15.0))
@protocol VZUSBDevice <NSObject>

/// The controller that it is attached to; nil while it is attached to none.
@property (readonly, weak) VZUSBController *_Nullable usbController;

/// That of its configuration.
@property (readonly, copy) NSUUID *uuid;

@end

NS_ASSUME_NONNULL_END
