// SPDX-License-Identifier: Apache-2.0
// What a machine says that is used where it cannot be, and of its end: `stops KERNEL WAY`. The way says how QEMU, which
// is a script here, ends it: by itself once the guest runs ("dies"), while it is paused ("dies while pausing"), or
// because the guest turns itself off ("turns off"). Prints each thing in the order in which it is told.
#import <Foundation/Foundation.h>
#import <Virtualization/Virtualization.h>

static VZVirtualMachine *machine;
static BOOL startsAgain;

static void say(NSString *what, NSError *error) {
    // The constants that a program is linked with have the framework's values.
    if (error &&
        ![error.userInfo[NSLocalizedFailureReasonErrorKey] isEqual:error.userInfo[@"NSLocalizedFailureReason"]])
        printf("NSLocalizedFailureReasonErrorKey is %s\n", NSLocalizedFailureReasonErrorKey.UTF8String);
    printf("%s%s%s\n", what.UTF8String, error ? ": " : "", error ? error.localizedDescription.UTF8String : "");
}

static NSString *stateOf(VZVirtualMachine *virtualMachine) {
    return
        [NSString stringWithFormat:@"%ld%s", (long)virtualMachine.state, virtualMachine.canStart ? ", can start" : ""];
}

static void finish(void) {
    say(@"the end", nil);
    exit(0);
}

static void refusals(void);

@interface Delegate : NSObject <VZVirtualMachineDelegate>
@end

@implementation Delegate

- (void)observeValueForKeyPath:(NSString *)keyPath
                      ofObject:(id)object
                        change:(NSDictionary<NSKeyValueChangeKey, id> *)change
                       context:(void *)context {
    (void)keyPath, (void)object, (void)change, (void)context;
    say([@"state " stringByAppendingString:stateOf(machine)], nil);
}

- (void)startAgain {
    setenv("APPLEVZ_QEMU_SCRIPT", "{}", 1); // this time it does not end
    if (startsAgain)
        [machine startWithCompletionHandler:^(NSError *error) {
            say(@"started again", error);
            refusals();
        }];
}

- (void)guestDidStopVirtualMachine:(VZVirtualMachine *)virtualMachine {
    say([@"guest stopped in state " stringByAppendingString:stateOf(virtualMachine)], nil);
    [self startAgain];
}

- (void)virtualMachine:(VZVirtualMachine *)virtualMachine didStopWithError:(NSError *)error {
    say([@"stopped in state " stringByAppendingString:stateOf(virtualMachine)], error);
    NSLog(@"%@", error);
    [self startAgain];
}

@end

// Each of these is refused, or is the last.
static void refusals(void) {
    startsAgain = NO;
    [machine startWithCompletionHandler:^(NSError *started) {
        say(@"start", started);
    }];
    [machine resumeWithCompletionHandler:^(NSError *resumed) {
        say(@"resume", resumed);
    }];
    [machine saveMachineStateToURL:[NSURL fileURLWithPath:@"/nowhere"]
                 completionHandler:^(NSError *saved) {
                     say(@"save", saved);
                 }];
    [machine restoreMachineStateFromURL:[NSURL fileURLWithPath:@"/nowhere"]
                      completionHandler:^(NSError *restored) {
                          say(@"restore", restored);
                          [machine stopWithCompletionHandler:^(NSError *stopped) {
                              say(@"stop", stopped);
                              NSError *refusal = nil;
                              say([machine requestStopWithError:&refusal] ? @"asked" : @"request", refusal);
                              [machine stopWithCompletionHandler:^(NSError *again) {
                                  say(@"stop", again);
                                  NSLog(@"%@", again);
                                  finish();
                              }];
                          }];
                      }];
}

int main(int argc, const char *argv[]) {
    @autoreleasepool {
        if (argc != 3)
            return 64;
        setvbuf(stdout, NULL, _IOLBF, 0);
        NSString *way = @(argv[2]);
        startsAgain = YES;
        VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
        configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:[NSURL fileURLWithPath:@(argv[1])]];
        configuration.memorySize = 256ull << 20;
        machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration];
        Delegate *delegate = [[Delegate alloc] init];
        machine.delegate = delegate;
        [machine addObserver:delegate forKeyPath:@"state" options:NSKeyValueObservingOptionNew context:NULL];
        [machine startWithCompletionHandler:^(NSError *error) {
            say(@"started", error);
            if ([way isEqualToString:@"dies while pausing"])
                [machine pauseWithCompletionHandler:^(NSError *paused) {
                    say(@"paused", paused);
                }];
        }];
        [[NSRunLoop mainRunLoop] run];
    }
    return 0;
}
