// SPDX-License-Identifier: Apache-2.0
#import "QEMU/process/QEMUInstance.h"

NS_ASSUME_NONNULL_BEGIN

/// Tells the delegate of an attachment of its server. QEMU says when a request of the guest's failed, not why, and
/// connects again only where there is a request to be made: so a sector is read from the node when that happens, and
/// from then on each second until it can be read. Everything happens on the machine's queue.
@interface QEMUNetworkDiskWatch : NSObject

/// node is the name of the block node that the disk is made of.
- (instancetype)initWithAttachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment node:(NSString *)node;
- (instancetype)init NS_UNAVAILABLE;

/// QEMU has the node, and with it a connection.
- (void)instanceReady:(QEMUInstance *)instance;
- (void)takeEvent:(NSString *)name data:(NSDictionary *)data;
- (void)instanceEnded;

/// Lets go of the node, so that it can be taken out, and then calls the block. Nothing is told any more.
- (void)endWithCompletion:(void (^)(void))completion;

@end

NS_ASSUME_NONNULL_END
