// SPDX-License-Identifier: Apache-2.0
#import "QEMUNetworkCardExchange.h"
#import "support/VZErrors+Private.h"
#import <json_values.h>

@implementation QEMUNetworkCardExchange {
    __weak QEMUInstance *_instance; // which tells of its events through the machine, the owner of this object
    NSMutableDictionary<NSString *, NSDictionary *> *_cards; // by identifier: those that the guest has not let go yet
}

- (instancetype)initWithInstance:(QEMUInstance *)instance cards:(NSArray<NSDictionary *> *)cards {
    self = [super init];
    if (self == nil)
        return nil;
    _instance = instance;
    _cards = [NSMutableDictionary dictionary];
    for (NSDictionary *card in cards)
        _cards[card[@"id"]] = card;
    return self;
}

- (BOOL)isUnderWay {
    return _cards.count > 0;
}

- (void)beginWithCompletion:(void (^)(NSError *_Nullable error))completion {
    NSArray<NSString *> *identifiers = [_cards.allKeys sortedArrayUsingSelector:@selector(compare:)];
    __block NSUInteger pending = identifiers.count;
    __block NSError *first = nil;
    for (NSString *identifier in identifiers)
        [_instance execute:@"device_del"
                 arguments:@{@"id" : identifier}
                completion:^(id result, NSError *refusal) {
                    (void)result;
                    first = first ?: refusal;
                    if (--pending == 0)
                        completion(first);
                }];
    if (identifiers.count == 0)
        completion(nil);
}

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data {
    NSString *identifier = [name isEqualToString:@"DEVICE_DELETED"] ? applevz_json_text(data, @"device") : nil;
    NSDictionary *card = identifier != nil ? _cards[identifier] : nil;
    if (card == nil)
        return;
    [_cards removeObjectForKey:identifier];
    __weak QEMUInstance *weak_instance = _instance;
    [_instance
           execute:@"device_add"
         arguments:card
        completion:^(id result, NSError *refusal) {
            (void)result;
            QEMUInstance *instance = weak_instance;
            // A machine without its card is not the one that was asked for.
            if (refusal != nil && instance.isAnswering)
                [instance giveUpWithError:VZErrorWithReason(
                                              VZErrorInternal, nil,
                                              [NSString stringWithFormat:@"A network card could not be exchanged: %@",
                                                                         refusal.localizedFailureReason],
                                              nil, refusal)];
        }];
}

@end
