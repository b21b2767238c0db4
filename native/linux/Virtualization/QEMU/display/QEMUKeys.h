// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// QEMU's name (QKeyCode in qapi/ui.json) for the key with that usage of page 7 of the USB's HID Usage Tables; nil for
/// one that its keyboard does not have.
NSString *_Nullable QEMUKeyOfUsage(NSUInteger usage);

NS_ASSUME_NONNULL_END
