// SPDX-License-Identifier: Apache-2.0
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "machine/machine.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>

CFErrorRef applevz_configuration_add_usb_keyboard(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.keyboards = [object.keyboards arrayByAddingObject:[[VZUSBKeyboardConfiguration alloc] init]];
        return nil;
    });
}

CFErrorRef applevz_configuration_add_usb_screen_coordinate_pointing_device(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.pointingDevices = [object.pointingDevices
            arrayByAddingObject:[[VZUSBScreenCoordinatePointingDeviceConfiguration alloc] init]];
        return nil;
    });
}

NSError *applevz_input_events_missing(void) {
    if ([VZVirtualMachine instancesRespondToSelector:@selector(applevzSendKey:down:completionHandler:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"No keys can be pressed for a guest here.",
                         @"The virtualization framework takes them from its window only.", nil);
}

static NSError *error_of_event(const applevz_input_event *event, size_t index) {
    BOOL known = event->kind >= APPLEVZ_INPUT_KIND_KEY_DOWN && event->kind <= APPLEVZ_INPUT_KIND_SCROLLED_DOWN;
    BOOL is_button = event->kind == APPLEVZ_INPUT_KIND_BUTTON_DOWN || event->kind == APPLEVZ_INPUT_KIND_BUTTON_UP;
    BOOL moved = event->kind == APPLEVZ_INPUT_KIND_POINTER_MOVED;
    if (known && is_button)
        known = event->code >= APPLEVZ_POINTER_BUTTON_LEFT && event->code <= APPLEVZ_POINTER_BUTTON_MIDDLE;
    if (known && moved)
        known = event->x >= 0 && event->x < 1 && event->y >= 0 && event->y < 1;
    if (known)
        return nil;
    return applevz_invalid_argument(@"Invalid input.",
                                    [NSString stringWithFormat:@"events[%zu] is of kind %d with code %d at %g, %g.",
                                                               index, (int)event->kind, event->code, event->x,
                                                               event->y],
                                    @"Use a kind of enum applevz_input_kind, a button of enum applevz_pointer_button, "
                                    @"and places from 0 to less than 1.");
}

CFErrorRef applevz_machine_send_input(applevz_machine *machine, const applevz_input_event *events, size_t count,
                                      double interval, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_input_events_missing();
        for (size_t i = 0; i < count && error == nil; i++)
            error = error_of_event(&events[i], i);
        if (error == nil && !(interval >= 0 && interval <= 60))
            error = applevz_invalid_argument(@"Invalid interval.",
                                             [NSString stringWithFormat:@"interval is %g seconds.", interval],
                                             @"Give a number of seconds from 0 to 60.");
        if (error != nil)
            return error;
        NSData *copy = [NSData dataWithBytes:events length:count * sizeof *events];
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        *operation = applevz_hand_over_handle(
            [owner request:^(VZVirtualMachine *object, AppleVZOperation *result, void (^done)(void)) {
                [owner.inputTurns sendEvents:copy
                                    interval:interval
                                          to:object
                                  completion:^(NSError *_Nullable failure) {
                                      [result completeWithError:failure];
                                      done();
                                  }];
            }]);
        return nil;
    });
}
