// SPDX-License-Identifier: Apache-2.0
// What a Mac refuses to a process for what the process is: without an entitlement, or translated by Rosetta.
#import "policy.h"
#import <errno.h>
#import <objc/runtime.h>
#import <stdbool.h>
#import <string.h>
#import <sys/sysctl.h>

@interface VZBridgedNetworkInterface (Creation)
- (instancetype)initWithIdentifier:(NSString *)identifier;
@end

// Of a class that no header declares.
@interface NSObject (SecTask)
- (nullable id)valueForEntitlement:(NSString *)entitlement error:(NSError *_Nullable *_Nonnull)error;
@end

typedef id (*Value)(id self, SEL selector, NSString *entitlement, NSError **error);
typedef BOOL (*Validation)(id self, SEL selector, NSError **error);
typedef BOOL (*Question)(id self, SEL selector);
typedef NSArray *(*List)(id self, SEL selector);
typedef void (*Start)(id self, SEL selector, void (^completion)(NSError *_Nullable error));

static NSString *const Virtualization = @"com.apple.security.virtualization";
static NSString *const Networking = @"com.apple.vm.networking";

static Value original_value;
static Validation original_validation;
static Question original_is_supported;
static List original_interfaces;
static Start original_start;

static BOOL is_translated(void) {
    return played_mac_number(@"translated").boolValue;
}

/// By what the policy says of it, whatever the process may learn of that: the framework asks the kernel by itself.
static BOOL has(NSString *entitlement) {
    return played_mac_object(@"entitlements")[entitlement] == nil;
}

/// With the reason alone, as the framework's.
static NSError *refusal(NSString *reason) {
    return [NSError errorWithDomain:VZErrorDomain
                               code:VZErrorInvalidVirtualMachineConfiguration
                           userInfo:@{
                               @"NSLocalizedFailure" : @"Invalid virtual machine configuration.",
                               NSLocalizedFailureReasonErrorKey : reason,
                           }];
}

static NSError *refusal_for_lack_of(NSString *entitlement) {
    return refusal([NSString stringWithFormat:@"The process doesn’t have the “%@” entitlement.", entitlement]);
}

static id played_value(id self, SEL selector, NSString *entitlement, NSError **error) {
    NSString *lack = played_mac_object(@"entitlements")[entitlement];
    if (lack == nil)
        return original_value(self, selector, entitlement, error);
    if ([lack isEqualToString:@"false"])
        return @NO;
    if ([lack isEqualToString:@"unknown"])
        *error = [NSError errorWithDomain:NSPOSIXErrorDomain code:EINVAL userInfo:nil];
    else if (![lack isEqualToString:@"missing"])
        played_mac_fail(@"entitlements: \"%@\" is none of missing, false and unknown", lack);
    return nil;
}

static BOOL has_bridge(VZVirtualMachineConfiguration *configuration) {
    for (VZNetworkDeviceConfiguration *device in configuration.networkDevices)
        if ([device.attachment isKindOfClass:[VZBridgedNetworkDeviceAttachment class]])
            return YES;
    return NO;
}

static BOOL played_validation(VZVirtualMachineConfiguration *self, SEL selector, NSError **error) {
    NSError *refused = nil;
    if (is_translated())
        refused = refusal(@"Virtualization is not available on this hardware.");
    else if (!has(Virtualization) && !played_mac_is(@"entitlement asked for", @"start"))
        refused = refusal_for_lack_of(Virtualization);
    else if (!has(Networking) && has_bridge(self))
        refused = refusal_for_lack_of(Networking);
    if (refused == nil)
        return original_validation(self, selector, error);
    if (error != NULL)
        *error = refused;
    return NO;
}

static BOOL played_is_supported(id self, SEL selector) {
    NSNumber *supported = played_mac_number(@"supported");
    return !is_translated() && (supported != nil ? supported.boolValue : original_is_supported(self, selector));
}

/// They are listed to a process that may not be connected to any.
static NSArray *played_interfaces(id self, SEL selector) {
    NSString *identifier = played_mac_text(@"bridged interface");
    if (identifier == nil)
        return original_interfaces(self, selector);
    return @[ [[VZBridgedNetworkInterface alloc] initWithIdentifier:identifier] ];
}

static void played_start(VZVirtualMachine *self, SEL selector, void (^completion)(NSError *_Nullable error)) {
    if (has(Virtualization)) {
        original_start(self, selector, completion);
        return;
    }
    dispatch_async(self.queue, ^{
        completion(refusal_for_lack_of(Virtualization));
    });
}

int sysctlbyname(const char *name, void *value, size_t *size, void *new_value, size_t new_size) {
    (void)new_value, (void)new_size;
    NSNumber *translated = played_mac_number(@"translated");
    if (translated == nil || strcmp(name, "sysctl.proc_translated") != 0 || *size < sizeof(int)) {
        errno = ENOENT;
        return -1;
    }
    *(int *)value = translated.boolValue;
    *size = sizeof(int);
    return 0;
}

__attribute__((constructor)) static void play_entitlements(void) {
    original_value =
        PLAYED_MAC_METHOD(Value, played_mac_replace(objc_getClass("SecTask"), @selector(valueForEntitlement:error:),
                                                    PLAYED_MAC_FUNCTION(played_value)));
    original_validation = PLAYED_MAC_METHOD(Validation, played_mac_replace([VZVirtualMachineConfiguration class],
                                                                           @selector(validateWithError:),
                                                                           PLAYED_MAC_FUNCTION(played_validation)));
    original_is_supported =
        PLAYED_MAC_METHOD(Question, played_mac_replace_class_method([VZVirtualMachine class], @selector(isSupported),
                                                                    PLAYED_MAC_FUNCTION(played_is_supported)));
    original_interfaces = PLAYED_MAC_METHOD(
        List, played_mac_replace_class_method([VZBridgedNetworkInterface class], @selector(networkInterfaces),
                                              PLAYED_MAC_FUNCTION(played_interfaces)));
    original_start =
        PLAYED_MAC_METHOD(Start, played_mac_replace([VZVirtualMachine class], @selector(startWithCompletionHandler:),
                                                    PLAYED_MAC_FUNCTION(played_start)));
}
