// SPDX-License-Identifier: Apache-2.0
#import "QEMUUSBDisk.h"
#import "../VZErrors+Private.h"
#import <stdatomic.h>

typedef void (^Completion)(NSError *_Nullable error);

NSString *QEMUNameOfUSBController(NSUInteger index) {
    return [NSString stringWithFormat:@"usb-controller%lu", (unsigned long)index];
}

/// Another one for each disk: what QEMU has not let go of yet keeps its name.
static NSString *next_name(void) {
    static _Atomic(uint64_t) number;
    return [NSString stringWithFormat:@"usb-disk%llu", (unsigned long long)atomic_fetch_add(&number, 1)];
}

static NSError *detach_error(NSString *reason, NSError *underlying) {
    return VZErrorWithReason(VZErrorInternal, @"The USB device could not be detached.", reason, nil, underlying);
}

@implementation QEMUUSBDisk {
    NSUInteger _controller;
    NSNumber *_descriptorSet; // of a descriptor that was handed over while the machine ran
    QEMUInstance *_instance;  // while it is being taken out
    Completion _takeOutCompletion;
    NSUInteger _attempt; // by which one deadline is told from the next
}

- (instancetype)initWithConfiguration:(VZUSBMassStorageDeviceConfiguration *)configuration
                           controller:(NSUInteger)controller
                                 port:(NSUInteger)port {
    self = [super init];
    if (self != nil) {
        _configuration = configuration;
        _controller = controller;
        _port = port;
        _node = next_name();
    }
    return self;
}

- (NSDictionary *)deviceProperties {
    return @{
        @"driver" : @"usb-storage",
        @"id" : [_node stringByAppendingString:@"-device"],
        @"bus" : [QEMUNameOfUSBController(_controller) stringByAppendingString:@".0"],
        @"port" : [NSString stringWithFormat:@"%lu", (unsigned long)_port],
        @"drive" : _node,
        @"serial" : _configuration.uuid.UUIDString,
        // An error is the guest's to handle.
        @"rerror" : @"report",
        @"werror" : @"report",
    };
}

#pragma mark In

- (void)plug:(QEMUBlockNode *)node into:(QEMUInstance *)instance completion:(Completion)completion {
    _isBusy = YES;
    Completion done = ^(NSError *error) {
        self->_isBusy = NO;
        completion(error);
    };
    if (node.descriptor == nil) {
        [self add:[node optionsWithName:_node path:nil] to:instance completion:done];
        return;
    }
    [instance execute:@"add-fd"
            arguments:nil
           descriptor:node.descriptor
           completion:^(id result, NSError *refusal) {
               id set = [result isKindOfClass:[NSDictionary class]] ? result[@"fdset-id"] : nil;
               if (![set isKindOfClass:[NSNumber class]]) {
                   done(refusal ?: detach_error(@"QEMU did not say where the descriptor is.", nil));
                   return;
               }
               self->_descriptorSet = set;
               NSString *path = [NSString stringWithFormat:@"/dev/fdset/%@", set];
               [self add:[node optionsWithName:self->_node path:path] to:instance completion:done];
           }];
}

- (void)add:(NSDictionary *)options to:(QEMUInstance *)instance completion:(Completion)completion {
    NSString *node = _node;
    [instance execute:@"blockdev-add"
             arguments:options
            completion:^(id result, NSError *refusal) {
                (void)result;
                if (refusal != nil) {
                    [self removeDescriptorFrom:instance];
                    completion(refusal);
                    return;
                }
                [instance execute:@"device_add"
                         arguments:self.deviceProperties
                        completion:^(id answer, NSError *error) {
                            (void)answer;
                            if (error == nil) {
                                completion(nil);
                                return;
                            }
                            [instance execute:@"blockdev-del"
                                     arguments:@{@"node-name" : node}
                                    completion:^(id last, NSError *failure) {
                                        (void)last;
                                        (void)failure; // nobody but the device had a use for it
                                        [self removeDescriptorFrom:instance];
                                        completion(error);
                                    }];
                        }];
            }];
}

- (void)removeDescriptorFrom:(QEMUInstance *)instance {
    if (_descriptorSet == nil)
        return;
    [instance execute:@"remove-fd"
             arguments:@{@"fdset-id" : _descriptorSet}
            completion:^(id result, NSError *refusal) {
                (void)result;
                (void)refusal; // it is closed with the last user then
            }];
    _descriptorSet = nil;
}

#pragma mark Out

- (void)takeOutOf:(QEMUInstance *)instance completion:(Completion)completion {
    _isBusy = YES;
    _instance = instance;
    _takeOutCompletion = completion;
    NSUInteger attempt = ++_attempt;
    NSTimeInterval seconds = instance.answerSeconds;
    __weak QEMUUSBDisk *weak_self = self;
    // The event comes while the command is carried out, or later.
    [instance execute:@"device_del"
             arguments:@{@"id" : self.deviceProperties[@"id"]}
            completion:^(id result, NSError *refusal) {
                (void)result;
                if (refusal != nil)
                    [weak_self finish:detach_error(refusal.localizedFailureReason, refusal) attempt:attempt];
            }];
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, (int64_t)(seconds * NSEC_PER_SEC)), instance.queue, ^{
        [weak_self finish:detach_error([NSString stringWithFormat:@"QEMU did not let it go within %g s.", seconds], nil)
                  attempt:attempt];
    });
}

- (void)finish:(NSError *)error attempt:(NSUInteger)attempt {
    Completion completion = _takeOutCompletion;
    if (completion == nil || attempt != _attempt)
        return;
    _takeOutCompletion = nil;
    _isBusy = NO;
    completion(error);
}

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data {
    if (![data[@"device"] isEqual:self.deviceProperties[@"id"]])
        return;
    NSUInteger attempt = _attempt;
    if ([name isEqualToString:@"DEVICE_UNPLUG_GUEST_ERROR"]) {
        [self finish:detach_error(@"The guest does not let it go.", nil) attempt:attempt];
        return;
    }
    if (![name isEqualToString:@"DEVICE_DELETED"])
        return;
    QEMUInstance *instance = _instance;
    _isOut = YES;
    // Kept until it is out: what it is made of is released with it.
    [instance execute:@"blockdev-del"
             arguments:@{@"node-name" : _node}
            completion:^(id result, NSError *refusal) {
                (void)result;
                [self removeDescriptorFrom:instance];
                [self finish:refusal != nil ? detach_error(refusal.localizedFailureReason, refusal) : nil attempt:attempt];
            }];
}

@end
