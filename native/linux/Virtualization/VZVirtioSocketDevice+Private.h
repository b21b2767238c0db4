// SPDX-License-Identifier: Apache-2.0
// How a machine makes its socket device, and what it tells it. A program that tests the device does the same.
#import "QEMU/QEMUSocketListeners.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@interface VZSocketDevice ()
- (instancetype)initForSubclass;
@end

@interface VZVirtioSocketDevice () <QEMUSocketListening>
/// queue is the machine's, on which all of it happens.
- (instancetype)initWithQueue:(dispatch_queue_t)queue;
/// There is a guest, of that number.
- (void)guestIsReady:(uint32_t)guest;
/// There is none any more. What was about to be connected is told so.
- (void)guestIsGone;
/// As setSocketListener:forPort:, for those who want to know. The bridge asks for it by this name.
- (BOOL)applevzSetSocketListener:(VZVirtioSocketListener *)listener forPort:(uint32_t)port error:(NSError **)error;
@end

@interface VZVirtioSocketConnection ()
/// Takes the descriptor over.
- (instancetype)initWithDescriptor:(int)descriptor
                        sourcePort:(uint32_t)sourcePort
                   destinationPort:(uint32_t)destinationPort;
@end

NS_ASSUME_NONNULL_END
