// SPDX-License-Identifier: Apache-2.0
#import "QEMU/display/QEMUKeys.h"
#import "support/VZErrors+Private.h"
#import "VZVirtualMachine+Private.h"

/// One more than the largest coordinate of QEMU's pointing devices.
static const double coordinates = 32768;

static NSDictionary *key_event(NSString *key, BOOL down) {
    return @{
        @"type" : @"key",
        @"data" : @{@"down" : [NSNumber numberWithBool:down], @"key" : @{@"type" : @"qcode", @"data" : key}},
    };
}

static NSDictionary *button_event(NSString *button, BOOL down) {
    return @{@"type" : @"btn", @"data" : @{@"down" : [NSNumber numberWithBool:down], @"button" : button}};
}

static NSDictionary *axis_event(NSString *axis, double part) {
    return @{@"type" : @"abs", @"data" : @{@"axis" : axis, @"value" : @((long)(part * coordinates))}};
}

static NSError *missing_device(NSArray *devices, NSString *property, NSString *name) {
    if (devices.count > 0)
        return nil;
    return VZErrorWithReason(VZErrorNotSupported, [NSString stringWithFormat:@"The machine has no %@.", name],
                             [NSString stringWithFormat:@"%@ of its configuration is empty.", property],
                             @"Add one to it.", nil);
}

@implementation VZVirtualMachine (Input)

- (void)sendEvents:(NSArray<NSDictionary *> *)events
             orWhy:(NSError *)wrong
        completion:(void (^)(NSError *_Nullable error))handler {
    [self checkQueue];
    NSError *error = wrong;
    // QEMU drops what comes while the guest stands still.
    if (error == nil && self.state != VZVirtualMachineStateRunning)
        error = VZInvalidStateError(self.state, @"input", @"A guest takes input when it is running.");
    if (error == nil) {
        [_instance execute:@"input-send-event"
                 arguments:@{@"events" : events}
                completion:^(id result, NSError *refusal) {
                    (void)result;
                    handler(refusal);
                }];
        return;
    }
    dispatch_async(self.queue, ^{
        handler(error);
    });
}

- (void)applevzSendKey:(NSUInteger)usage down:(BOOL)down completionHandler:(void (^)(NSError *_Nullable error))handler {
    NSError *error = missing_device(_configuration.keyboards, @"keyboards", @"keyboard");
    NSString *key = QEMUKeyOfUsage(usage);
    if (error == nil && key == nil)
        error = VZErrorWithReason(VZErrorNotSupported, @"The keyboard has no such key.",
                                  [NSString stringWithFormat:@"The usage is %lu.", (unsigned long)usage],
                                  @"Use a key of a PC's keyboard.", nil);
    [self sendEvents:key != nil ? @[ key_event(key, down) ] : @[] orWhy:error completion:handler];
}

- (NSError *)missingPointer {
    return missing_device(_configuration.pointingDevices, @"pointingDevices", @"pointing device");
}

- (void)applevzMovePointerToX:(double)x y:(double)y completionHandler:(void (^)(NSError *_Nullable error))handler {
    [self sendEvents:@[ axis_event(@"x", x), axis_event(@"y", y) ] orWhy:[self missingPointer] completion:handler];
}

- (void)applevzSendPointerButton:(NSUInteger)button
                            down:(BOOL)down
               completionHandler:(void (^)(NSError *_Nullable error))handler {
    NSArray<NSString *> *buttons = @[ @"left", @"right", @"middle" ];
    NSString *name = buttons[MIN(button, buttons.count - 1)];
    [self sendEvents:@[ button_event(name, down) ] orWhy:[self missingPointer] completion:handler];
}

- (void)applevzScrollUp:(BOOL)up completionHandler:(void (^)(NSError *_Nullable error))handler {
    // To QEMU a wheel is a button that is pressed for each notch.
    NSString *name = up ? @"wheel-up" : @"wheel-down";
    [self sendEvents:@[ button_event(name, YES), button_event(name, NO) ]
               orWhy:[self missingPointer]
          completion:handler];
}

@end
