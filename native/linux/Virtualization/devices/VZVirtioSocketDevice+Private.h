// SPDX-License-Identifier: Apache-2.0
// How a machine makes its socket device, and what it tells it. A program that tests the device does the same.
#import "applevz_extensions.h"
#import "QEMU/network/QEMUSocketListeners.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@interface VZSocketDevice ()
- (instancetype)initForSubclass;
@end

@interface VZVirtioSocketDevice () <QEMUSocketListening, AppleVZSocketListening>
/// queue is the machine's, on which all of it happens.
- (instancetype)initWithQueue:(dispatch_queue_t)queue;
/// There is a guest, of that number.
- (void)guestIsReady:(uint32_t)guest;
/// There is none any more. What was about to be connected is told so.
- (void)guestIsGone;
@end

@interface VZVirtioSocketConnection ()
/// Takes the descriptor over.
- (instancetype)initWithDescriptor:(int)descriptor
                        sourcePort:(uint32_t)sourcePort
                   destinationPort:(uint32_t)destinationPort;
@end

NS_ASSUME_NONNULL_END
