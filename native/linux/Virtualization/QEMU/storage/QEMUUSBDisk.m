// SPDX-License-Identifier: Apache-2.0
#import "QEMUUSBDisk.h"
#import "QEMU/process/QEMUConfinement.h"
#import "support/VZErrors+Private.h"
#import <json_values.h>
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
    QEMUInstance *_instance; // while it is being taken out
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
        _descriptorSets = @[];
    }
    return self;
}

- (NSString *)identifier {
    return [_node stringByAppendingString:@"-device"];
}

/// Two, since the serial number of the one that is both (usb-storage) is its unit's identifier too, for which later
/// versions of QEMU take no more than 20 characters.
- (NSArray<NSDictionary *> *)devices {
    NSString *uuid = _configuration.uuid.UUIDString;
    return @[
        @{
            @"driver" : @"usb-bot",
            @"id" : self.identifier,
            @"bus" : [QEMUNameOfUSBController(_controller) stringByAppendingString:@".0"],
            @"port" : [NSString stringWithFormat:@"%lu", (unsigned long)_port],
            @"serial" : uuid,
        },
        @{
            @"driver" : @"scsi-hd",
            @"bus" : [self.identifier stringByAppendingString:@".0"],
            @"drive" : _node,
            @"serial" : uuid,
            @"device_id" : uuid,
            // An error is the guest's to handle.
            @"rerror" : @"report",
            @"werror" : @"report",
        },
    ];
}

#pragma mark In

- (void)plug:(QEMUBlockNode *)node into:(QEMUInstance *)instance completion:(Completion)completion {
    _isBusy = YES;
    Completion done = ^(NSError *error) {
        self->_isBusy = NO;
        completion(error);
    };
    [self hand:node paths:@[] to:instance completion:done];
}

/// Hands over one descriptor after the other, and then adds what is made of them.
- (void)hand:(QEMUBlockNode *)node
         paths:(NSArray<NSString *> *)paths
            to:(QEMUInstance *)instance
    completion:(Completion)completion {
    if (paths.count == node.descriptors.count) {
        QEMUDiskServer *server = [node serverWithPaths:paths];
        if (server != nil)
            QEMUAllowDiskServer(instance.supervisor, server);
        [self add:[node optionsWithName:_node paths:paths] to:instance completion:completion];
        return;
    }
    [instance execute:@"add-fd"
            arguments:nil
           descriptor:node.descriptors[paths.count]
           completion:^(id result, NSError *refusal) {
               uint64_t set = 0, number = 0;
               if (!applevz_json_unsigned(result, @"fdset-id", &set)) {
                   NSError *error = refusal ?: detach_error(@"QEMU did not say where the descriptor is.", nil);
                   [self removeDescriptorsFrom:instance
                                    completion:^{
                                        completion(error);
                                    }];
                   return;
               }
               self.descriptorSets = [self.descriptorSets arrayByAddingObject:@(set)];
               NSString *path = [NSString stringWithFormat:@"/dev/fdset/%llu", (unsigned long long)set];
               // One that came later is in no rule of the confinement, so that it is used as it is.
               // Nor may a user of QEMU's own open it anew.
               AppleVZConfinement keeping = AppleVZConfinementFiles | AppleVZConfinementUser;
               BOOL isConfined = (instance.confinement & keeping) != 0 && node.canBeUsed;
               if (node.canBeReopened && !isConfined && applevz_json_unsigned(result, @"fd", &number))
                   path = [NSString stringWithFormat:@"/proc/self/fd/%llu", (unsigned long long)number];
               NSArray<NSString *> *more = [paths arrayByAddingObject:path];
               HostDescriptor *direct = [node directOneBeside:node.descriptors[paths.count]];
               if (direct == nil) {
                   [self hand:node paths:more to:instance completion:completion];
                   return;
               }
               [instance execute:@"add-fd"
                   arguments:@{
                       @"fdset-id" : @(set)
                   }
                   descriptor:direct
                   completion:^(id answer, NSError *second) {
                       (void)answer;
                       (void)second; // without it QEMU tells what it lacks
                       [self hand:node paths:more to:instance completion:completion];
                   }];
           }];
}

- (void)add:(NSDictionary *)options to:(QEMUInstance *)instance completion:(Completion)completion {
    NSArray<NSDictionary *> *devices = self.devices;
    [self execute:@[
        @[ @"blockdev-add", options ],
        @[ @"device_add", devices[0] ],
        @[ @"device_add", devices[1] ],
        // One that comes while the machine runs is shown to the guest when it is whole.
        @[
            @"qom-set", @{
                @"path" : [@"/machine/peripheral/" stringByAppendingString:self.identifier],
                @"property" : @"attached",
                @"value" : @YES
            }
        ],
    ]
              step:0
                in:instance
        completion:completion];
}

- (void)execute:(NSArray<NSArray *> *)commands
           step:(NSUInteger)step
             in:(QEMUInstance *)instance
     completion:(Completion)completion {
    if (step == commands.count) {
        completion(nil);
        return;
    }
    [instance execute:commands[step][0]
            arguments:commands[step][1]
           completion:^(id result, NSError *refusal) {
               (void)result;
               if (refusal == nil)
                   [self execute:commands step:step + 1 in:instance completion:completion];
               else
                   [self undo:step
                               in:instance
                       completion:^{
                           completion(refusal);
                       }];
           }];
}

/// Takes back as many of the steps above. What is refused is of no interest: nobody but the device had a use for it.
- (void)undo:(NSUInteger)steps in:(QEMUInstance *)instance completion:(dispatch_block_t)completion {
    if (steps == 0) {
        [self removeDescriptorsFrom:instance completion:completion];
        return;
    }
    // A device takes what is on its bus with it.
    BOOL hasDevice = steps > 1;
    [instance execute:hasDevice ? @"device_del" : @"blockdev-del"
            arguments:hasDevice ? @{@"id" : self.identifier} : @{@"node-name" : _node}
           completion:^(id result, NSError *refusal) {
               (void)result;
               (void)refusal;
               [self undo:hasDevice ? 1 : 0 in:instance completion:completion];
           }];
}

- (void)removeDescriptorsFrom:(QEMUInstance *)instance completion:(dispatch_block_t)completion {
    NSNumber *set = _descriptorSets.firstObject;
    if (set == nil) {
        completion();
        return;
    }
    _descriptorSets = [_descriptorSets subarrayWithRange:NSMakeRange(1, _descriptorSets.count - 1)];
    [instance execute:@"remove-fd"
            arguments:@{@"fdset-id" : set}
           completion:^(id result, NSError *refusal) {
               (void)result;
               (void)refusal; // it is closed with the last user then
               [self removeDescriptorsFrom:instance completion:completion];
           }];
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
            arguments:@{@"id" : self.identifier}
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
    if (_isOut || ![applevz_json_text(data, @"device") isEqualToString:self.identifier])
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
               NSError *error = refusal != nil ? detach_error(refusal.localizedFailureReason, refusal) : nil;
               [self removeDescriptorsFrom:instance
                                completion:^{
                                    [self finish:error attempt:attempt];
                                }];
           }];
}

@end
