// SPDX-License-Identifier: Apache-2.0
// A port of a bridge, and its other end for QEMU: a tap device, which is there as long as its descriptor is open
// anywhere.
#import "support/HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// Whether this process's network namespace has a bridge of that name.
BOOL HostIsBridge(NSString *name);

/// Why there is none; for a host that has no bridge.
NSError *HostNoBridgeError(void);

/// Why no tap device can be connected to a bridge from here; nil where one can, as far as that can be told without
/// making one.
NSError *_Nullable HostTapMissingError(void);

/// A new tap device that is a port of the bridge. Made by this process where it may, otherwise, if that is asked for,
/// by qemu-bridge-helper, which is waited for. nil with an error, which says what was tried.
HostDescriptor *_Nullable HostOpenTap(NSString *bridge, BOOL askingHelper, NSError **error);

/// The name of a tap device's interface; nil where the system does not tell it.
NSString *_Nullable HostNameOfTap(HostDescriptor *tap);

/// Whether the helper may do what this process was not allowed to, with that error.
BOOL HostTapMayTakeHelper(NSError *error);

NS_ASSUME_NONNULL_END
