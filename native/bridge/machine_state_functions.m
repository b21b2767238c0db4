// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "errors.h"
#import "guard.h"
#import "machine.h"
#import "ownership.h"
#import "platform.h"
#import "text.h"
#import <errno.h>
#import <stdio.h>
#import <string.h>
#import <unistd.h>

NSError *applevz_save_restore_missing(void) {
    // All of it came with one version of the system.
    if ([VZVirtualMachine instancesRespondToSelector:@selector(saveMachineStateToURL:completionHandler:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Machines cannot be saved on this host.",
                         @"The virtualization framework saves and restores machines from macOS 14 on, on Apple silicon.",
                         @"Use such a host, or leave the machine paused.");
}

/// A name in the same folder that nobody else has.
static NSURL *temporary_url(NSURL *url) {
    NSString *name = [NSString stringWithFormat:@".applevz-%@", [NSUUID UUID].UUIDString];
    return [NSURL fileURLWithPath:[url.path.stringByDeletingLastPathComponent stringByAppendingPathComponent:name]];
}

/// Puts the new file in the place of the old one. nil, or why that cannot be; the new one is gone then.
static NSError *replace(NSURL *old, NSURL *new_url) {
    if (rename(new_url.path.fileSystemRepresentation, old.path.fileSystemRepresentation) == 0)
        return nil;
    int number = errno;
    unlink(new_url.path.fileSystemRepresentation);
    NSError *cause = [NSError errorWithDomain:NSPOSIXErrorDomain code:number userInfo:nil];
    NSDictionary *information = @{
        NSLocalizedDescriptionKey : @"The virtual machine could not be saved.",
        NSLocalizedFailureReasonErrorKey :
            [NSString stringWithFormat:@"\"%@\" cannot be replaced: %s.", old.path, strerror(number)],
        NSUnderlyingErrorKey : cause,
    };
    return [NSError errorWithDomain:VZErrorDomain code:APPLEVZ_ERROR_SAVE userInfo:information];
}

CFErrorRef applevz_machine_save_state(applevz_machine *machine, const char *path, size_t path_length, bool overwrite,
                                      applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_save_restore_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path", &error) : nil;
        if (url == nil)
            return error;
        AppleVZVerb verb = ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
            NSURL *target = overwrite ? temporary_url(url) : url;
            // Here and not where somebody waits for it: the file is replaced whoever gave up waiting.
            [(id<AppleVZSaveRestore>)object saveMachineStateToURL:target
                                                completionHandler:^(NSError *_Nullable failure) {
                                                    completion(failure == nil && overwrite ? replace(url, target) : failure);
                                                }];
        };
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) perform:verb]);
        return nil;
    });
}

CFErrorRef applevz_machine_suspend_to_file(applevz_machine *machine, const char *path, size_t path_length,
                                           applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_save_restore_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path", &error) : nil;
        if (url == nil)
            return error;
        AppleVZVerb verb = ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
            id<AppleVZSaveRestore> saving = (id<AppleVZSaveRestore>)object;
            __weak VZVirtualMachine *weak_object = object;
            // Stopped by the same turn of the queue: nobody else's verb comes between.
            void (^saved)(NSError *) = ^(NSError *_Nullable failure) {
                VZVirtualMachine *strong_object = weak_object;
                if (failure != nil || strong_object == nil)
                    completion(failure);
                else
                    [strong_object stopWithCompletionHandler:completion];
            };
            SEL handing_over = @selector(applevzSaveMachineStateByHandingOverMemoryToURL:completionHandler:);
            if ([object respondsToSelector:handing_over])
                [saving applevzSaveMachineStateByHandingOverMemoryToURL:url completionHandler:saved];
            else
                [saving saveMachineStateToURL:url completionHandler:saved];
        };
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) perform:verb]);
        return nil;
    });
}

CFErrorRef applevz_machine_restore_state(applevz_machine *machine, const char *path, size_t path_length,
                                         bool private_mapping, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_save_restore_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path", &error) : nil;
        if (url == nil)
            return error;
        AppleVZVerb verb = ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
            id<AppleVZSaveRestore> restoring = (id<AppleVZSaveRestore>)object;
            SEL mapping = @selector(applevzRestoreMachineStateByMappingURL:completionHandler:);
            if (private_mapping && [object respondsToSelector:mapping])
                [restoring applevzRestoreMachineStateByMappingURL:url completionHandler:completion];
            else
                [restoring restoreMachineStateFromURL:url completionHandler:completion];
        };
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) performRestore:verb]);
        return nil;
    });
}
