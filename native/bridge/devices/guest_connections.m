// SPDX-License-Identifier: Apache-2.0
#import "../errors.h"
#import "../guard.h"
#import "../machine.h"
#import "../ownership.h"
#import "../platform.h"
#import "applevz.h"
#import <Virtualization/Virtualization.h>

NSError *applevz_guest_connections_missing(void) {
    if ([VZVirtualMachine instancesRespondToSelector:@selector(applevzConnectToPort:completionHandler:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"A guest's ports cannot be connected to by the machine here.",
                         @"The virtualization framework does not tell which address a guest has.",
                         @"Connect to the guest's own address, which the host reaches.");
}

CFErrorRef applevz_machine_connect(applevz_machine *machine, uint16_t port, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_guest_connections_missing();
        if (error == nil && port == 0)
            error = applevz_invalid_argument(@"Invalid port.", @"port is 0, which no service has.",
                                             @"Give a number from 1 to 65535.");
        if (error != nil)
            return error;
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        *operation = applevz_hand_over_handle(
            [owner request:^(VZVirtualMachine *object, AppleVZOperation *result, void (^done)(void)) {
                [(id<AppleVZConnections>)object applevzConnectToPort:port
                                                   completionHandler:^(int descriptor, NSError *_Nullable failure) {
                                                       if (failure != nil)
                                                           [result completeWithError:failure];
                                                       else
                                                           [result completeWithDescriptor:descriptor];
                                                       done();
                                                   }];
            }]);
        return nil;
    });
}
