// SPDX-License-Identifier: Apache-2.0
// QEMU's program that makes tap devices for those who may not: it runs with more privileges than whoever starts it, and
// looks into /etc/qemu/bridge.conf whether a bridge is free for them.
#import "support/HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// Why it would be of no use; nil where it may be. Words to follow "and".
NSString *_Nullable HostBridgeHelperMissingReason(void);

/// A new tap device that is a port of the bridge; nil with the helper's words. Waits for it, for a few seconds at most.
HostDescriptor *_Nullable HostBridgeHelperOpenTap(NSString *bridge, NSString *_Nullable *_Nonnull words);

NS_ASSUME_NONNULL_END
