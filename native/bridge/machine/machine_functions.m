// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "configuration/configuration_files.h"
#import "machine.h"
#import "boundary/ownership.h"
#import "waiting/wake_pipe.h"
#import <errno.h>

CFErrorRef applevz_machine_create(applevz_configuration *configuration, applevz_machine **machine) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        applevz_wake_pipe_prepare();
        // Asked first: the initializer raises for what this refuses.
        NSError *error = applevz_error_of_configuration(object);
        if (error != nil)
            return error;
        applevz_machines_are_in_use();
        @try {
            *machine = applevz_hand_over_handle([[AppleVZMachine alloc] initWithConfiguration:object]);
        } @catch (NSException *exception) {
            NSError *cause = exception.userInfo[NSUnderlyingErrorKey];
            if ([cause isKindOfClass:[NSError class]])
                return applevz_refusal_of_configuration(cause, object);
            // What was there a moment ago may be gone: a file, or the last descriptors.
            return applevz_error_of_configuration(object)
                       ?: applevz_refusal_of_configuration(applevz_error_from_exception(exception), object);
        }
        return nil;
    });
}

void applevz_machine_release(applevz_machine *machine) {
    applevz_guard_infallible(^{
        AppleVZMachine *object = applevz_take_back_handle(machine);
        [object invalidate];
    });
}

CFErrorRef applevz_machine_set_guest_agent(applevz_machine *machine, applevz_guest_agent *agent) {
    return applevz_guard(^NSError *_Nullable {
        [applevz_borrowed(AppleVZMachine, machine) takeGuestAgent:applevz_borrowed(AppleVZGuestAgent, agent)];
        return nil;
    });
}

CFErrorRef applevz_machine_guest_agent_descriptor(applevz_machine *machine, int *descriptor) {
    return applevz_guard(^NSError *_Nullable {
        __block int number = 0;
        *descriptor = (int)[applevz_borrowed(AppleVZMachine, machine) useGuestAgent:^ssize_t(AppleVZGuestAgent *agent) {
            int duplicate = agent != nil ? [agent duplicateOfHostsEnd] : -1;
            number = agent != nil ? errno : ENXIO;
            return duplicate;
        }];
        return *descriptor < 0 ? applevz_posix_error(number) : nil;
    });
}

CFErrorRef applevz_machine_guest_agent_send(applevz_machine *machine, const char *bytes, size_t length, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        *count = (size_t)[applevz_borrowed(AppleVZMachine, machine) useGuestAgent:^ssize_t(AppleVZGuestAgent *agent) {
            return (ssize_t)[agent send:bytes length:length];
        }];
        return nil;
    });
}

CFErrorRef applevz_machine_guest_agent_receive(applevz_machine *machine, char *bytes, size_t length, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        *count = (size_t)[applevz_borrowed(AppleVZMachine, machine) useGuestAgent:^ssize_t(AppleVZGuestAgent *agent) {
            return (ssize_t)[agent receiveInto:bytes length:length];
        }];
        return nil;
    });
}

enum applevz_machine_state applevz_machine_state(applevz_machine *machine) {
    // The number there is atomic.
    return (enum applevz_machine_state)__atomic_load_n(applevz_machine_state_address(machine), __ATOMIC_ACQUIRE);
}

CFErrorRef applevz_machine_accepted_verbs(applevz_machine *machine, uint32_t *verbs) {
    return applevz_guard(^NSError *_Nullable {
        *verbs = applevz_borrowed(AppleVZMachine, machine).acceptedVerbs;
        return nil;
    });
}

CFErrorRef applevz_machine_last_device_closings(applevz_machine *machine, uint64_t *count) {
    return applevz_guard(^NSError *_Nullable {
        *count = applevz_borrowed(AppleVZMachine, machine).lastDeviceClosings;
        return nil;
    });
}

CFErrorRef applevz_machine_panics(applevz_machine *machine, uint64_t *panics) {
    return applevz_guard(^NSError *_Nullable {
        *panics = applevz_borrowed(AppleVZMachine, machine).panics;
        return nil;
    });
}

CFErrorRef applevz_machine_confinement(applevz_machine *machine, uint32_t *confinement) {
    return applevz_guard(^NSError *_Nullable {
        return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *_Nullable(VZVirtualMachine *object) {
            if (![VZVirtualMachine respondsToSelector:@selector(applevzConfinementError)])
                return applevz_confinement_missing();
            *confinement = (uint32_t)[(id<AppleVZConfinedMachine>)object applevzConfinement];
            return nil;
        }];
    });
}

CFErrorRef applevz_machine_tell_panic(applevz_machine *machine, bool for_good, bool anew) {
    return applevz_guard(^NSError *_Nullable {
        [applevz_borrowed(AppleVZMachine, machine) tellPanicForGood:for_good anew:anew];
        return nil;
    });
}

CFErrorRef applevz_machine_start(applevz_machine *machine, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZVerb verb = ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
            [object startWithCompletionHandler:completion];
        };
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) performStart:verb]);
        return nil;
    });
}

/// The verb is the caller's, and not retained, as guard.h says of blocks.
static CFErrorRef begin(applevz_machine *machine, applevz_operation **operation, enum applevz_machine_state passing,
                        __unsafe_unretained AppleVZVerb verb) {
    return applevz_guard(^NSError *_Nullable {
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) perform:verb through:passing]);
        return nil;
    });
}

CFErrorRef applevz_machine_pause(applevz_machine *machine, applevz_operation **operation) {
    return begin(machine, operation, APPLEVZ_MACHINE_STATE_PAUSING,
                 ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
                     [object pauseWithCompletionHandler:completion];
                 });
}

CFErrorRef applevz_machine_resume(applevz_machine *machine, applevz_operation **operation) {
    return begin(machine, operation, APPLEVZ_MACHINE_STATE_RESUMING,
                 ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
                     [object resumeWithCompletionHandler:completion];
                 });
}

CFErrorRef applevz_machine_stop(applevz_machine *machine, applevz_operation **operation) {
    return begin(machine, operation, APPLEVZ_MACHINE_STATE_STOPPING,
                 ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
                     [object stopWithCompletionHandler:completion];
                 });
}

CFErrorRef applevz_machine_request_stop(applevz_machine *machine, applevz_operation **operation) {
    // The guest stops when it likes, or does not.
    return begin(machine, operation, APPLEVZ_MACHINE_STATE_STOPPED,
                 ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
                     NSError *error = nil;
                     if ([object requestStopWithError:&error])
                         completion(nil);
                     else
                         completion(error
                                        ?: applevz_error(VZErrorDomain, VZErrorInternal,
                                                         @"The guest could not be asked to stop.",
                                                         @"The framework gave no reason.", nil));
                 });
}

CFErrorRef applevz_machine_discard(applevz_machine *machine, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) discard]);
        return nil;
    });
}

CFErrorRef applevz_machine_wait_for_state(applevz_machine *machine, uint32_t states, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) waitForStates:states]);
        return nil;
    });
}

CFErrorRef applevz_machine_copy_stop_error(applevz_machine *machine) {
    return applevz_guard(^NSError *_Nullable {
        return applevz_borrowed(AppleVZMachine, machine).stopError;
    });
}

CFErrorRef applevz_machine_next_event(applevz_machine *machine, applevz_event *event) {
    return applevz_guard(^NSError *_Nullable {
        applevz_event taken = {0};
        AppleVZEvent *object = [applevz_borrowed(AppleVZMachine, machine).events takeWithNumber:&taken.number
                                                                                        dropped:&taken.dropped];
        if (object != nil) {
            taken.time = object.time;
            taken.monotonic_time = object.monotonicTime;
            taken.kind = object.kind;
            taken.cause = object.cause;
            taken.state_before = object.stateBefore;
            taken.state = object.state;
            taken.device = object.device;
            taken.port = object.port;
            [object.usbDevice.UUIDString getCString:taken.usb_device
                                          maxLength:sizeof taken.usb_device
                                           encoding:NSASCIIStringEncoding];
            taken.error = applevz_hand_over_error(object.error);
        }
        *event = taken;
        return nil;
    });
}

CFErrorRef applevz_machine_wait_for_event(applevz_machine *machine, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine).events wait]);
        return nil;
    });
}

CFErrorRef applevz_machine_keep_notices(applevz_machine *machine) {
    return applevz_guard(^NSError *_Nullable {
        [applevz_borrowed(AppleVZMachine, machine) keepNotices];
        return nil;
    });
}

CFErrorRef applevz_machine_next_notice(applevz_machine *machine, applevz_notice *notice) {
    return applevz_guard(^NSError *_Nullable {
        applevz_notice taken = {0};
        NSError *error = nil;
        if ([applevz_borrowed(AppleVZMachine, machine).notices take:&taken error:&error])
            taken.error = applevz_hand_over_error(error);
        *notice = taken;
        return nil;
    });
}
