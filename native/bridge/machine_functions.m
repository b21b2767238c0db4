// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "errors.h"
#import "guard.h"
#import "machine.h"
#import "ownership.h"
#import "wake_pipe.h"

CFErrorRef applevz_machine_create(applevz_configuration *configuration, applevz_machine **machine) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        NSError *error = nil;
        // Asked first: the initializer raises for what this refuses.
        if (![object validateWithError:&error])
            return error ?: applevz_refused_without_reason();
        applevz_machines_are_in_use();
        applevz_wake_pipe_prepare();
        *machine = applevz_hand_over_handle([[AppleVZMachine alloc] initWithConfiguration:object]);
        return nil;
    });
}

void applevz_machine_release(applevz_machine *machine) {
    // In a forked child the object stays: taking it apart would act on the parent's machine.
    if (applevz_machines_were_inherited())
        return;
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

enum applevz_machine_state applevz_machine_state(applevz_machine *machine) {
    return applevz_borrowed(AppleVZMachine, machine).state;
}

const int32_t *applevz_machine_state_address(applevz_machine *machine) {
    return applevz_borrowed(AppleVZMachine, machine).stateAddress;
}

CFErrorRef applevz_machine_accepted_verbs(applevz_machine *machine, uint32_t *verbs) {
    return applevz_guard(^NSError *_Nullable {
        *verbs = applevz_borrowed(AppleVZMachine, machine).acceptedVerbs;
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

static CFErrorRef begin(applevz_machine *machine, applevz_operation **operation, AppleVZVerb verb) {
    return applevz_guard(^NSError *_Nullable {
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) perform:verb]);
        return nil;
    });
}

CFErrorRef applevz_machine_pause(applevz_machine *machine, applevz_operation **operation) {
    return begin(machine, operation, ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
        [object pauseWithCompletionHandler:completion];
    });
}

CFErrorRef applevz_machine_resume(applevz_machine *machine, applevz_operation **operation) {
    return begin(machine, operation, ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
        [object resumeWithCompletionHandler:completion];
    });
}

CFErrorRef applevz_machine_stop(applevz_machine *machine, applevz_operation **operation) {
    return begin(machine, operation, ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
        [object stopWithCompletionHandler:completion];
    });
}

CFErrorRef applevz_machine_request_stop(applevz_machine *machine, applevz_operation **operation) {
    return begin(machine, operation, ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
        NSError *error = nil;
        if ([object requestStopWithError:&error])
            completion(nil);
        else
            completion(error ?: applevz_error(VZErrorDomain, VZErrorInternal, @"The guest could not be asked to stop.",
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
    return applevz_guard_everywhere(^NSError *_Nullable {
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
