// SPDX-License-Identifier: Apache-2.0
// Starts and stops a machine and prints what key-value observing says of it: `observer KERNEL`.
#import <Virtualization/Virtualization.h>

@interface Observer : NSObject
@end

@implementation Observer
- (void)observeValueForKeyPath:(NSString *)keyPath
                      ofObject:(VZVirtualMachine *)machine
                        change:(NSDictionary<NSKeyValueChangeKey, id> *)change
                       context:(void *)context {
    (void)context;
    long before = [change[NSKeyValueChangeOldKey] integerValue], now = [change[NSKeyValueChangeNewKey] integerValue];
    // What is told is what the machine says at that time.
    if (now != [[machine valueForKey:keyPath] integerValue])
        printf("%s is not %ld\n", keyPath.UTF8String, now);
    else if (now != before)
        printf("%s %ld %ld\n", keyPath.UTF8String, before, now);
}
@end

int main(int argc, const char *argv[]) {
    @autoreleasepool {
        if (argc != 2)
            return 64;
        VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
        configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:[NSURL fileURLWithPath:@(argv[1])]];
        configuration.memorySize = 256ull << 20;
        VZVirtualMachine *machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration];
        Observer *observer = [[Observer alloc] init];
        NSArray<NSString *> *keys =
            @[ @"state", @"canStart", @"canStop", @"canPause", @"canResume", @"canRequestStop" ];
        for (NSString *key in keys)
            [machine addObserver:observer
                      forKeyPath:key
                         options:NSKeyValueObservingOptionNew | NSKeyValueObservingOptionOld
                         context:NULL];
        __block int code = 1;
        VZVirtualMachineStartOptions *options = [[VZVirtualMachineStartOptions alloc] init];
        [machine startWithOptions:options
                completionHandler:^(NSError *problem) {
                    printf("started %s\n", problem.localizedDescription.UTF8String ?: "");
                    [machine stopWithCompletionHandler:^(NSError *second) {
                        printf("stopped %s\n", second.localizedDescription.UTF8String ?: "");
                        code = 0;
                        CFRunLoopStop(CFRunLoopGetMain());
                    }];
                }];
        CFRunLoopRun();
        for (NSString *key in keys)
            [machine removeObserver:observer forKeyPath:key context:NULL];
        return code;
    }
}
