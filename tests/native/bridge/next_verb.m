// SPDX-License-Identifier: Apache-2.0
// What happens in the turn of the queue in which the framework tells of a verb or of an end. Tells of the events, a
// line each: the states before and after, or the kind.
//
// Arguments: a kernel; what happens; and how many events are to be told of.
//     pause    a resume follows at once upon the completion handler of a pause
//     end      a start follows at once upon the delegate
//     early    the completion handler of a pause is called before the machine has begun to pause, and once more, with
//              an error
#import "bridge_support.h"
#import <Virtualization/Virtualization.h>
#import <objc/runtime.h>

typedef void (^Completion)(NSError *_Nullable error);
typedef void (*Verb)(id self, SEL selector, Completion completion);
typedef void (*Delegate)(id self, SEL selector, VZVirtualMachine *machine);

static applevz_machine *machine;
static applevz_operation *next; // of the verb that is called then
static Verb original_pause;
static Delegate original_delegate;

static void pause_and_resume(id self, SEL selector, Completion completion) {
    original_pause(self, selector, ^(NSError *error) {
        completion(error);
        SUCCEED(applevz_machine_resume(machine, &next));
    });
}

static void complete_and_pause(id self, SEL selector, Completion completion) {
    completion(nil);
    completion([NSError errorWithDomain:VZErrorDomain code:VZErrorInternal userInfo:nil]);
    original_pause(self, selector, ^(NSError *error) {
        CHECK(error == nil);
    });
}

static void stop_and_start(id self, SEL selector, VZVirtualMachine *object) {
    original_delegate(self, selector, object);
    setenv("APPLEVZ_QEMU_SCRIPT", "{}", 1); // whose guest goes on
    SUCCEED(applevz_machine_start(machine, &next));
}

static IMP replace(const char *name, SEL selector, IMP function) {
    return method_setImplementation(class_getInstanceMethod(objc_getClass(name), selector), function);
}

static void tell_of_next_event(void) {
    applevz_operation *operation = NULL;
    SUCCEED(applevz_machine_wait_for_event(machine, &operation));
    SUCCEED(error_of(operation));
    applevz_event event;
    SUCCEED(applevz_machine_next_event(machine, &event));
    CHECK(event.error == NULL);
    if (event.kind == APPLEVZ_EVENT_KIND_STATE_CHANGED)
        printf("%d %d\n", (int)event.state_before, (int)event.state);
    else
        printf("kind %d in %d\n", (int)event.kind, (int)event.state);
}

int main(int count, char **arguments) {
    CHECK(count == 4);
    BOOL is_early = strcmp(arguments[2], "early") == 0;
    original_pause =
        (Verb)(void (*)(void))replace("VZVirtualMachine", @selector(pauseWithCompletionHandler:),
                                      (IMP)(void (*)(void))(is_early ? complete_and_pause : pause_and_resume));
    original_delegate = (Delegate)(void (*)(void))replace("AppleVZMachine", @selector(guestDidStopVirtualMachine:),
                                                          (IMP)(void (*)(void))stop_and_start);
    @autoreleasepool {
        applevz_configuration *configuration = configuration_create(arguments[1]);
        SUCCEED(applevz_machine_create(configuration, &machine));
        applevz_configuration_release(configuration);
        SUCCEED(perform(applevz_machine_start, machine));
        if (strcmp(arguments[2], "end") != 0)
            SUCCEED(perform(applevz_machine_pause, machine));
        CHECK(!is_early || applevz_machine_state(machine) == APPLEVZ_MACHINE_STATE_PAUSED);
        for (int left = atoi(arguments[3]); left > 0; left--)
            tell_of_next_event();
        if (next != NULL)
            SUCCEED(error_of(next));
        SUCCEED(perform(applevz_machine_stop, machine));
        applevz_machine_release(machine);
    }
    return 0;
}
