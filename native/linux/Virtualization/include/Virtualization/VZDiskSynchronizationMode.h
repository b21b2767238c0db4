// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

/// How far a flush by the guest reaches.
typedef NS_ENUM(NSInteger, VZDiskSynchronizationMode) {
    /// Each flush is passed on to the disk.
    VZDiskSynchronizationModeFull,

    /// None is: after a failure of the host the disk cannot be used again.
    VZDiskSynchronizationModeNone,
} API_AVAILABLE(macos(14.0));
