// SPDX-License-Identifier: Apache-2.0
// What a machine tells, in its order, a line each: "seen 1" of an observer that finds the state 1, "delegate 1" of the
// delegate likewise, "start 1 0" of the completion of a start that finds the state 1 and has no error, and "turn" of
// each of the two turns of the queue that follow after an observer saw a state that lasts. A verb is called when all
// was told of the one before. "end" is not one: it waits until the machine has ended by itself.
//
// Arguments: a kernel, then verbs.
#import "../checks.h"
#import <Virtualization/Virtualization.h>
#import <unistd.h>

@interface Teller : NSObject <VZVirtualMachineDelegate>
@end

@implementation Teller

- (void)observeValueForKeyPath:(NSString *)path
                      ofObject:(VZVirtualMachine *)machine
                        change:(NSDictionary *)change
                       context:(void *)context {
    (void)path, (void)change, (void)context;
    printf("seen %ld\n", (long)machine.state);
    dispatch_queue_t queue = machine.queue;
    if (machine.state <= VZVirtualMachineStateError)
        dispatch_async(queue, ^{
            puts("turn");
            dispatch_async(queue, ^{
                puts("turn");
            });
        });
}

- (void)guestDidStopVirtualMachine:(VZVirtualMachine *)machine {
    printf("delegate %ld\n", (long)machine.state);
}

- (void)virtualMachine:(VZVirtualMachine *)machine didStopWithError:(NSError *)error {
    printf("delegate %ld %ld\n", (long)machine.state, (long)error.code);
}

@end

static void call(VZVirtualMachine *machine, const char *verb) {
    void (^completion)(NSError *) = ^(NSError *error) {
        printf("%s %ld %ld\n", verb, (long)machine.state, (long)error.code);
    };
    if (strcmp(verb, "start") == 0)
        [machine startWithCompletionHandler:completion];
    else if (strcmp(verb, "pause") == 0)
        [machine pauseWithCompletionHandler:completion];
    else if (strcmp(verb, "resume") == 0)
        [machine resumeWithCompletionHandler:completion];
    else if (strcmp(verb, "stop") == 0)
        [machine stopWithCompletionHandler:completion];
    else
        CHECK(strcmp(verb, "end") == 0);
}

int main(int count, char **arguments) {
    CHECK(count > 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    @autoreleasepool {
        dispatch_queue_t queue = dispatch_queue_create("order", DISPATCH_QUEUE_SERIAL);
        VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
        NSURL *kernel = [NSURL fileURLWithPath:[NSString stringWithUTF8String:arguments[1]]];
        configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:kernel];
        configuration.memorySize = 256 << 20;
        VZVirtualMachine *machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
        Teller *teller = [[Teller alloc] init];
        dispatch_sync(queue, ^{
            machine.delegate = teller;
            [machine addObserver:teller forKeyPath:@"state" options:0 context:NULL];
        });
        for (int i = 2; i < count; i++) {
            const char *verb = arguments[i];
            __block BOOL lasts = NO;
            dispatch_sync(queue, ^{
                call(machine, verb);
            });
            while (!lasts) {
                usleep(1000);
                dispatch_sync(queue, ^{
                    BOOL ended =
                        machine.state == VZVirtualMachineStateStopped || machine.state == VZVirtualMachineStateError;
                    lasts = strcmp(verb, "end") == 0 ? ended : machine.state <= VZVirtualMachineStateError;
                });
            }
            // What takes some turns more.
            for (int turn = 0; turn < 10; turn++)
                dispatch_sync(queue, ^{
                              });
        }
        dispatch_sync(queue, ^{
            [machine removeObserver:teller forKeyPath:@"state"];
        });
    }
    return 0;
}
