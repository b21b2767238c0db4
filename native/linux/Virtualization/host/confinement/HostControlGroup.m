// SPDX-License-Identifier: Apache-2.0
#import "HostControlGroup.h"
#import "HostControlGroupFiles.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import <errno.h>
#import <string.h>

enum {
    // A process that was killed is gone when it has given its memory back.
    REMOVAL_ATTEMPTS = 50,
    REMOVAL_MILLISECONDS = 100,
};

static NSString *const not_limited = @"A machine's processor time and memory cannot be limited.";

static NSString *const own_folder =
    @"Name a control group that this user may write to, and that has no processes, in resourceLimits.controlGroup; or "
    @"run this program in one that is delegated to it, as in a systemd service with Delegate=cpu memory and a "
    @"DelegateSubgroup.";

BOOL HostNeedsControlGroup(AppleVZResourceLimits limits) {
    return limits.processors > 0 || limits.memory > 0;
}

static host_group_limits native_limits(AppleVZResourceLimits limits) {
    return (host_group_limits){.processors = limits.processors, .memory = limits.memory};
}

static NSError *error_of(host_group_answer answer, NSString *place) {
    NSString *reason = nil, *suggestion = own_folder;
    switch (answer.state) {
    case HOST_GROUP_USABLE:
        return nil;
    case HOST_GROUP_NO_HIERARCHY:
        reason = place.length > 0
                     ? [NSString stringWithFormat:@"%@ is no control group (cgroup version 2).", VZQuoted(place)]
                     : @"This process is in no control group (cgroup version 2).";
        break;
    case HOST_GROUP_NOT_DELEGATED:
        reason = [NSString stringWithFormat:@"This process is in the control group %@, and none was delegated to it in "
                                            @"which it could make others.",
                                            VZQuoted(place)];
        break;
    case HOST_GROUP_NO_CONTROLLER:
        reason = [NSString
            stringWithFormat:@"The control group %@ has no controller \"%s\".", VZQuoted(place), answer.controller];
        suggestion = @"Have the groups above it give it to this one: write \"+cpu +memory\" to the "
                     @"cgroup.subtree_control of each. A controller that is in use by a hierarchy of version 1 is in "
                     @"none of version 2.";
        break;
    case HOST_GROUP_HAS_PROCESSES:
        reason = [NSString stringWithFormat:@"The control group %@ has processes itself, so that groups in it have no "
                                            @"controllers.",
                                            VZQuoted(place)];
        suggestion = @"Move them into a group in it: make a folder in it, and write their numbers to the cgroup.procs "
                     @"there.";
        break;
    case HOST_GROUP_SYSTEM_REFUSES:
        reason = [NSString stringWithFormat:@"In the control group %@ none can be made: %@.", VZQuoted(place),
                                            VZSystemCallErrorText(answer.error)];
        break;
    }
    return VZErrorWithReason(VZErrorNotSupported, not_limited, reason, suggestion,
                             answer.error != 0 ? VZSystemCallError(answer.error, place) : nil);
}

@implementation HostControlGroup {
    host_control_group _native; // with the descriptors' numbers
    HostDescriptor *_place;
    HostDescriptor *_folder;
    AppleVZResourceLimits _limits;
    BOOL _isRemoved;
}

+ (NSError *)missingError {
    char place[PATH_MAX];
    host_group_answer answer = host_control_group_place(place);
    if (answer.state == HOST_GROUP_USABLE)
        answer = host_control_group_check(place, (host_group_limits){.processors = 1, .memory = 1});
    return error_of(answer, VZPathWithBytes(place));
}

- (instancetype)initWithLimits:(AppleVZResourceLimits)limits folder:(NSString *)folder error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _limits = limits;
    char place[PATH_MAX] = "";
    host_group_answer answer = {.state = HOST_GROUP_USABLE};
    if (folder != nil && strlen(VZBytesOfPath(folder)) < sizeof place)
        strcpy(place, VZBytesOfPath(folder));
    else if (folder != nil)
        answer = (host_group_answer){.state = HOST_GROUP_SYSTEM_REFUSES, .error = ENAMETOOLONG};
    else
        answer = host_control_group_place(place);
    if (answer.state == HOST_GROUP_USABLE)
        answer = host_control_group_make(place, native_limits(limits), &_native);
    if (answer.state != HOST_GROUP_USABLE) {
        VZRefuse(error, error_of(answer, folder ?: VZPathWithBytes(place)));
        return nil;
    }
    _place = [[HostDescriptor alloc] initWithDescriptor:_native.place];
    _folder = [[HostDescriptor alloc] initWithDescriptor:_native.folder];
    _joined = [[HostDescriptor alloc] initWithDescriptor:_native.joined];
    _native.place = _place.number;
    _native.folder = _folder.number;
    _native.joined = _joined.number;
    return self;
}

- (void)dealloc {
    if (_place != nil && !_isRemoved)
        host_control_group_remove(&_native);
}

- (NSError *)endError {
    if (_limits.memory == 0 || host_control_group_oom_kills(&_native) == 0)
        return nil;
    return VZErrorWithReason(VZErrorInternal, @"The virtual machine had no memory left.",
                             [NSString stringWithFormat:@"resourceLimits.memory is %llu bytes, and the guest's memory "
                                                        @"and what QEMU needs for its devices took more.",
                                                        (unsigned long long)_limits.memory],
                             @"Allow more: at least 256 MiB more than the guest's memory.", nil);
}

- (void)remove {
    [self removeInAttempts:REMOVAL_ATTEMPTS];
}

- (void)removeInAttempts:(NSUInteger)attempts {
    _isRemoved = _isRemoved || host_control_group_remove(&_native);
    if (_isRemoved || attempts == 0)
        return;
    // Kept until then: without its lock it would be nobody's, which is no harm, but nobody may come for it.
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, REMOVAL_MILLISECONDS * (int64_t)NSEC_PER_MSEC),
                   dispatch_get_global_queue(QOS_CLASS_DEFAULT, 0), ^{
                       [self removeInAttempts:attempts - 1];
                   });
}

@end
