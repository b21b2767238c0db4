// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "host/HostSupervision.h"
#import "support/VZErrors+Private.h"
#import <errno.h>

static NSString *suggestion_of(int number) {
    switch (number) {
    case ENOSYS:
    case EINVAL:
        return @"Use Linux 5.9 or later, with CONFIG_SECCOMP_FILTER.";
    case EBUSY:
        return @"Run this program where no other one supervises its system calls (seccomp).";
    case EPERM:
    case EACCES:
        return @"In a container, allow the system calls seccomp, pidfd_getfd and process_vm_readv, as with the "
               @"capability SYS_PTRACE. On a host, have the system's setting kernel.yama.ptrace_scope be 0 or 1.";
    default:
        return nil;
    }
}

@implementation VZNATNetworkDeviceAttachment

- (instancetype)init {
    if ((self = [super initForSubclass]))
        _applevzHasInternet = YES;
    return self;
}

+ (NSError *)applevzHostIsolationError {
    const char *step = "";
    int number = host_supervision_error(&step);
    if (number == 0)
        return nil;
    return VZErrorWithReason(VZErrorNotSupported, @"Guests with NAT are not kept from this host.",
                             [NSString stringWithFormat:@"Where QEMU connects to cannot be supervised: %@ (%s).",
                                                        VZSystemCallErrorText(number), step],
                             suggestion_of(number), VZSystemCallError(number, nil));
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    // There is nothing in it that could be wrong.
    (void)property;
    (void)error;
    return YES;
}

@end
