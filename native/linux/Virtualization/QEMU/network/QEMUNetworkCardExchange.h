// SPDX-License-Identifier: Apache-2.0
#import "QEMU/process/QEMUInstance.h"

NS_ASSUME_NONNULL_BEGIN

/// Gives a restored guest network cards with other MAC addresses. An address is part of the state that a card was saved
/// in, and a guest reads it once: it is another card that has another one. The guest is asked to let the old card go,
/// which it does once it runs, and finds the new one in its place, on the same network. Everything happens on the
/// machine's queue.
@interface QEMUNetworkCardExchange : NSObject

/// cards are what device_add takes; each has the identifier and the place of the one that it replaces.
- (instancetype)initWithInstance:(QEMUInstance *)instance cards:(NSArray<NSDictionary *> *)cards;
- (instancetype)init NS_UNAVAILABLE;

/// Asks the guest. Completes when QEMU has taken note, which is before the guest has.
- (void)beginWithCompletion:(void (^)(NSError *_Nullable error))completion;

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data;

/// Whether a card is still to be exchanged.
@property (readonly) BOOL isUnderWay;

@end

NS_ASSUME_NONNULL_END
