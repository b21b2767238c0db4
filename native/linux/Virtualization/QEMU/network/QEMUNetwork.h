// SPDX-License-Identifier: Apache-2.0
// What QEMU has of a network card beside the card. A card cannot be given another network, so between the two is a hub,
// whose one port is the card's for good, while the other is taken out with a network and put in with the next.
#import "support/HostDescriptor.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// QEMU's names, for the card with that index: of the hub's port that the card is on, of the network, and of the port
/// that the network is on.
NSString *QEMUNameOfCardPort(NSUInteger index);
NSString *QEMUNameOfNetwork(NSUInteger index);
NSString *QEMUNameOfNetworkPort(NSUInteger index);

/// The hub's ports, as -netdev and netdev_add take them.
NSDictionary *QEMUCardPort(NSUInteger index);
NSDictionary *QEMUNetworkPort(NSUInteger index);

/// What makes an attachment a network of QEMU's, once.
@interface QEMUNetwork : NSObject

/// nil, with an error, where its descriptor cannot be handed over or no tap device made. For that QEMU's helper may be
/// asked, which is waited for (HostTap.h).
+ (nullable instancetype)networkOf:(VZNetworkDeviceAttachment *)attachment
                             index:(NSUInteger)index
                      askingHelper:(BOOL)askingHelper
                             error:(NSError **)error;

/// What QEMU has to be handed; nil where it makes the network by itself.
@property (readonly, nullable) HostDescriptor *descriptor;

/// The host's interface that it is, of a bridge's port; nil for every other.
@property (readonly, nullable) NSString *interfaceName;

/// What -netdev and netdev_add take. name is that of the descriptor in QEMU: its number, or what getfd was given.
- (NSDictionary *)optionsWithDescriptor:(nullable NSString *)name;

@end

NS_ASSUME_NONNULL_END
