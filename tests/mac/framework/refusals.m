// SPDX-License-Identifier: Apache-2.0
// How a framework refuses that is less careful than ours: with another error in the place of each that ours made, which
// tells less of what is wrong, or something wrong. A refusal of a verb's state stays.
#import "policy.h"
#import <errno.h>

typedef void (^Completion)(NSError *_Nullable error);
#define INITIALIZER __attribute__((ns_returns_retained)) id
#define OWN __attribute__((ns_consumed)) id
typedef INITIALIZER (*InitImage)(OWN self, SEL selector, NSURL *url, BOOL read_only, NSInteger caching_mode,
                                 NSInteger synchronization_mode, NSError **error);
typedef INITIALIZER (*InitFile)(OWN self, SEL selector, NSURL *url, BOOL append, NSError **error);
typedef INITIALIZER (*InitStore)(OWN self, SEL selector, NSURL *url, NSUInteger options, NSError **error);
typedef BOOL (*Validate)(id self, SEL selector, NSError **error);
typedef void (*Verb)(id self, SEL selector, Completion completion);
typedef void (*VerbWithObject)(id self, SEL selector, id object, Completion completion);

static InitImage original_init_image;
static InitFile original_init_file;
static InitStore original_init_store;
static Validate original_validate;
static Verb original_start;
static VerbWithObject original_save, original_restore, original_attach;

static BOOL is(NSString *form) {
    return played_mac_is(@"refusal", form);
}

static NSError *posix(NSInteger code) {
    return [NSError errorWithDomain:NSPOSIXErrorDomain code:code userInfo:nil];
}

/// errno of an error of ours; 0 where it has none.
static NSInteger number_of(NSError *error) {
    for (; error != nil; error = error.userInfo[NSUnderlyingErrorKey])
        if ([error.domain isEqualToString:NSPOSIXErrorDomain])
            return error.code;
    return 0;
}

static NSError *cocoa(NSInteger number, BOOL reading) {
    NSInteger code = reading ? 256 : 512;
    switch (number) {
    case ENOENT:
        code = reading ? 260 : 4;
        break;
    case EACCES:
        code = reading ? 257 : 513;
        break;
    case EEXIST:
        code = 516;
        break;
    case ENOSPC:
        code = 640;
        break;
    default:
        break;
    }
    return [NSError errorWithDomain:NSCocoaErrorDomain code:code userInfo:nil];
}

/// One of the framework's, as ours is mostly.
static NSError *error_with(NSError *error, NSDictionary *information) {
    BOOL is_own = [error.domain isEqualToString:VZErrorDomain];
    NSMutableDictionary *all = [information mutableCopy];
    all[NSLocalizedFailureReasonErrorKey] = @"Something is invalid.";
    return [NSError errorWithDomain:VZErrorDomain code:is_own ? error.code : VZErrorInternal userInfo:all];
}

/// With another of a domain of its own between the two.
static NSError *above(NSError *error, NSError *cause) {
    NSError *between = [NSError errorWithDomain:@"played.Mac" code:7 userInfo:@{NSUnderlyingErrorKey : cause}];
    return error_with(error, @{NSUnderlyingErrorKey : between});
}

static NSError *bare(NSError *error) {
    return error_with(error, @{});
}

static BOOL stays(NSError *error) {
    return [error.domain isEqualToString:VZErrorDomain] && (error.code == VZErrorInvalidVirtualMachineState ||
                                                            error.code == VZErrorInvalidVirtualMachineStateTransition);
}

/// nil for a framework that gives no error.
static NSError *played(NSError *error, BOOL reading) {
    NSInteger number = number_of(error);
    if (error == nil || stays(error))
        return error;
    if (is(@"none"))
        return nil;
    if (is(@"reason"))
        return bare(error);
    if (is(@"not supported"))
        return posix(ENOTSUP);
    if (is(@"not supported beneath"))
        return above(error, posix(ENOTSUP));
    if (is(@"Cocoa"))
        return cocoa(number, reading);
    if (is(@"Cocoa beneath"))
        return above(error, cocoa(number, reading));
    if (is(@"Cocoa among several"))
        return error_with(
            error, @{
                NSMultipleUnderlyingErrorsKey :
                    @[ [NSError errorWithDomain:@"played.Mac" code:7 userInfo:nil], cocoa(number, reading) ],
            });
    if (is(@"unnamed"))
        return posix(number != 0 ? number : EINVAL);
    return error;
}

static INITIALIZER init_image(OWN self, SEL selector, NSURL *url, BOOL read_only, NSInteger caching_mode,
                              NSInteger synchronization_mode, NSError **error) {
    NSError *wrong = nil;
    id object = original_init_image(self, selector, url, read_only, caching_mode, synchronization_mode, &wrong);
    if (object == nil && error != NULL)
        *error = played(wrong, YES);
    return object;
}

static INITIALIZER init_file(OWN self, SEL selector, NSURL *url, BOOL append, NSError **error) {
    NSError *wrong = nil;
    id object = original_init_file(self, selector, url, append, &wrong);
    if (object == nil && error != NULL)
        *error = played(wrong, NO);
    return object;
}

static INITIALIZER init_store(OWN self, SEL selector, NSURL *url, NSUInteger options, NSError **error) {
    NSError *wrong = nil;
    id object = original_init_store(self, selector, url, options, &wrong);
    if (object == nil && error != NULL)
        *error = played(wrong, NO);
    return object;
}

static BOOL validate(VZVirtualMachineConfiguration *self, SEL selector, NSError **error) {
    NSError *wrong = nil;
    BOOL valid = original_validate(self, selector, &wrong);
    if (!valid && error != NULL)
        *error = played(wrong, YES);
    return valid;
}

/// A verb says whether it failed by its error alone.
static Completion completion_of(Completion completion, BOOL reading) {
    return ^(NSError *_Nullable error) {
        completion(error != nil ? played(error, reading) ?: bare(error) : nil);
    };
}

static void start(id self, SEL selector, Completion completion) {
    original_start(self, selector, completion_of(completion, YES));
}

static void save(id self, SEL selector, id url, Completion completion) {
    original_save(self, selector, url, completion_of(completion, NO));
}

static void restore(id self, SEL selector, id url, Completion completion) {
    original_restore(self, selector, url, completion_of(completion, YES));
}

static void attach(id self, SEL selector, id device, Completion completion) {
    original_attach(self, selector, device, completion_of(completion, YES));
}

#define REPLACE(type, name, class_, message)                                                                           \
    original_##name =                                                                                                  \
        PLAYED_MAC_METHOD(type, played_mac_replace([class_ class], @selector(message), PLAYED_MAC_FUNCTION(name)))

__attribute__((constructor)) static void play_refusals(void) {
    if (played_mac_text(@"refusal") == nil)
        return;
    REPLACE(InitImage, init_image, VZDiskImageStorageDeviceAttachment,
            initWithURL:readOnly:cachingMode:synchronizationMode:error:);
    REPLACE(InitFile, init_file, VZFileSerialPortAttachment, initWithURL:append:error:);
    REPLACE(InitStore, init_store, VZEFIVariableStore, initCreatingVariableStoreAtURL:options:error:);
    REPLACE(Validate, validate, VZVirtualMachineConfiguration, validateWithError:);
    REPLACE(Verb, start, VZVirtualMachine, startWithCompletionHandler:);
    REPLACE(VerbWithObject, save, VZVirtualMachine, saveMachineStateToURL:completionHandler:);
    REPLACE(VerbWithObject, restore, VZVirtualMachine, restoreMachineStateFromURL:completionHandler:);
    REPLACE(VerbWithObject, attach, VZUSBController, attachDevice:completionHandler:);
}
