// SPDX-License-Identifier: Apache-2.0
#import "entitlements.h"
#import "errors.h"
#import <Security/Security.h>
#import <Virtualization/Virtualization.h>
#import <errno.h>
#import <sys/sysctl.h>

static NSString *const VirtualizationEntitlement = @"com.apple.security.virtualization";
static NSString *const NetworkingEntitlement = @"com.apple.vm.networking";

/// NO too where nobody can tell, as of a program without any signature: the framework's own word counts then.
static BOOL is_known_to_lack(NSString *entitlement) {
    SecTaskRef task = SecTaskCreateFromSelf(kCFAllocatorDefault);
    if (task == NULL)
        return NO;
    CFErrorRef error = NULL;
    CFTypeRef value = SecTaskCopyValueForEntitlement(task, (__bridge CFStringRef)entitlement, &error);
    CFRelease(task);
    BOOL lacks = value == NULL ? error == NULL : [(__bridge id)value isEqual:@NO];
    if (value != NULL)
        CFRelease(value);
    if (error != NULL)
        CFRelease(error);
    return lacks;
}

/// Whether this is a program for another processor than the host's.
static BOOL is_translated(void) {
    int translated = 0;
    size_t size = sizeof translated;
    // The kernel knows the name only where it can translate.
    return sysctlbyname("sysctl.proc_translated", &translated, &size, NULL, 0) == 0 && translated == 1;
}

/// The file that runs: of a framework build of Python that in its Python.app, whatever was called.
static NSString *executable(void) {
    NSString *path = NSBundle.mainBundle.executablePath ?: NSProcessInfo.processInfo.arguments.firstObject;
    return path.stringByResolvingSymlinksInPath ?: @"the executable";
}

static NSString *cure_of_virtualization(void) {
    return [NSString
        stringWithFormat:@"Sign \"%@\" with the entitlement %@, and start it anew: `python -m applevz sign` signs "
                         @"the Python that runs it, as `make sign` does in applevz's source.",
                         executable(), VirtualizationEntitlement];
}

static NSString *cure_of_bridges(void) {
    return [NSString
        stringWithFormat:@"Use a NATNetworkDeviceAttachment; or sign \"%@\" with the entitlement %@ by an identity to "
                         @"which Apple granted it. macOS ends a program that took it by itself.",
                         executable(), NetworkingEntitlement];
}

static NSString *cure_of_translation(void) {
    return @"Use a Python for arm64: `arch -arm64 python3` runs one that is for both processors.";
}

/// What the operating system would have said, had it been asked.
static NSError *not_permitted(void) {
    return applevz_posix_error(EPERM);
}

static NSError *refusal(NSString *description, NSString *reason, NSString *suggestion, NSError *underlying) {
    return applevz_error_with_cause(VZErrorDomain, VZErrorNotSupported, APPLEVZ_OPENS_WITH_DESCRIPTION, description,
                                    reason, suggestion, underlying);
}

static NSString *lacking(NSString *entitlement) {
    return [NSString stringWithFormat:@"\"%@\" lacks the entitlement %@.", executable(), entitlement];
}

NSError *applevz_process_refusal(void) {
    static NSString *const description = @"This process cannot run virtual machines.";
    if (!VZVirtualMachine.isSupported && is_translated()) {
        NSString *reason =
            [NSString stringWithFormat:@"\"%@\" runs as a program for x86-64, which Rosetta translates: the "
                                       @"virtualization framework does not support that.",
                                       executable()];
        return refusal(description, reason, cure_of_translation(), nil);
    }
    if (is_known_to_lack(VirtualizationEntitlement))
        return refusal(description, lacking(VirtualizationEntitlement), cure_of_virtualization(), not_permitted());
    return nil;
}

NSError *applevz_process_refusal_of_bridges(void) {
    if (!is_known_to_lack(NetworkingEntitlement))
        return nil;
    return refusal(@"This process cannot connect machines to a network of this host.", lacking(NetworkingEntitlement),
                   cure_of_bridges(), not_permitted());
}

static NSError *with_suggestion(NSError *error, NSString *suggestion, NSError *underlying) {
    NSString *told = error.localizedRecoverySuggestion;
    return applevz_changed_error(error, ^(NSMutableDictionary *information) {
        information[NSLocalizedRecoverySuggestionErrorKey] =
            told.length > 0 ? [NSString stringWithFormat:@"%@ %@", suggestion, told] : suggestion;
        if (information[NSUnderlyingErrorKey] == nil)
            information[NSUnderlyingErrorKey] = underlying;
    });
}

NSError *applevz_error_with_process_cure(NSError *error) {
    if (![error.domain isEqualToString:VZErrorDomain] || error.code != VZErrorInvalidVirtualMachineConfiguration)
        return error;
    // In whatever language it is told, the entitlement has this name.
    NSString *told = [NSString stringWithFormat:@"%@ %@", error.localizedDescription, error.localizedFailureReason];
    if ([told rangeOfString:NetworkingEntitlement].location != NSNotFound)
        return with_suggestion(error, cure_of_bridges(), not_permitted());
    if ([told rangeOfString:VirtualizationEntitlement].location != NSNotFound)
        return with_suggestion(error, cure_of_virtualization(), not_permitted());
    NSError *refusal = applevz_process_refusal();
    if (refusal == nil)
        return error;
    // The framework gave another reason, or none: ours is told beneath it.
    return with_suggestion(error, refusal.localizedRecoverySuggestion, refusal);
}
