// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/files.h"
#import "boundary/guard.h"
#import "machine.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import "saved_state_errors.h"
#import "saved_state_file.h"

NSError *applevz_save_restore_missing(void) {
    // All of it came with one version of the system.
    if ([VZVirtualMachine instancesRespondToSelector:@selector(saveMachineStateToURL:completionHandler:)])
        return nil;
    return applevz_error(
        VZErrorDomain, VZErrorNotSupported, @"Machines cannot be saved on this host.",
        @"The virtualization framework saves and restores machines from macOS 14 on, on Apple silicon.",
        @"Use such a host, or leave the machine paused.");
}

/// Has the framework write the file, where it promises nothing of it. `completion` comes once the file has its name, or
/// is gone.
static void save_to_file(__weak AppleVZMachine *weak_machine, VZVirtualMachine *object, AppleVZSavedStateFile *file,
                         void (^completion)(NSError *_Nullable error)) {
    // In another state it refuses to save, which is then what is wrong.
    NSError *refusal = object.state == VZVirtualMachineStatePaused ? [file prepare] : nil;
    if (refusal != nil) {
        completion(refusal);
        return;
    }
    __weak VZVirtualMachine *weak_object = object;
    // Here and not where somebody waits for it: the file gets its name whoever gave up waiting. The first call decides.
    __block BOOL is_over = NO;
    void (^end)(NSError *) = ^(NSError *_Nullable failure) {
        BOOL is_first = !is_over;
        is_over = YES;
        __block NSError *error = failure;
        NSError *raised = applevz_error_raised_by(^{
            // The operation has failed with that already.
            if (error == nil && ![weak_machine runsOn:weak_object])
                error = applevz_error(VZErrorDomain, VZErrorOperationCancelled, @"The operation was cancelled.",
                                      @"The virtual machine was discarded or released while it was saved.", nil);
            if (!is_first)
                [file removeAgain];
            else
                error = error != nil ? [file giveUpWithError:error] : [file publish];
        });
        if (is_first)
            completion(raised ?: error);
    };
    NSError *raised = applevz_error_raised_by(^{
        [(id<AppleVZSaveRestore>)object saveMachineStateToURL:file.temporaryURL completionHandler:end];
    });
    if (raised != nil)
        end(raised);
}

/// Saves. One that stops the machine as well, in the same turn of the queue, before anybody else's verb, may hand its
/// memory over. No block is an argument: a forked child may not even retain one.
static CFErrorRef save(applevz_machine *machine, const char *path, size_t path_length, bool overwrite, bool stops,
                       applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_save_restore_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path", &error) : nil;
        if (url == nil)
            return error;
        AppleVZMachine *strong_machine = applevz_borrowed(AppleVZMachine, machine);
        __weak AppleVZMachine *weak_machine = strong_machine;
        AppleVZVerb verb = ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
            __weak VZVirtualMachine *weak_object = object;
            void (^saved)(NSError *) = ^(NSError *_Nullable failure) {
                if (failure != nil || !stops) {
                    completion(failure);
                    return;
                }
                // Once it shows that it is paused again, in the turn of the queue in which it does.
                [weak_machine whenStateLasts:^{
                    VZVirtualMachine *strong_object = weak_object;
                    if (strong_object == nil)
                        return;
                    NSError *raised = applevz_error_raised_by(^{
                        [strong_object stopWithCompletionHandler:completion];
                    });
                    if (raised != nil)
                        completion(raised);
                }];
            };
            if ([object respondsToSelector:
                            @selector(applevzSaveMachineStateToURL:overwriting:handingOverMemory:completionHandler:)])
                [(id<AppleVZSaveRestoreExtensions>)object applevzSaveMachineStateToURL:url
                                                                           overwriting:overwrite
                                                                     handingOverMemory:stops
                                                                     completionHandler:saved];
            else
                save_to_file(weak_machine, object,
                             [[AppleVZSavedStateFile alloc] initWithURL:url overwriting:overwrite], saved);
        };
        *operation = applevz_hand_over_handle([strong_machine
            perform:verb
            through:stops ? APPLEVZ_MACHINE_STATE_STOPPING : APPLEVZ_MACHINE_STATE_SAVING]);
        return nil;
    });
}

CFErrorRef applevz_machine_save_state(applevz_machine *machine, const char *path, size_t path_length, bool overwrite,
                                      applevz_operation **operation) {
    return save(machine, path, path_length, overwrite, false, operation);
}

CFErrorRef applevz_machine_suspend_to_file(applevz_machine *machine, const char *path, size_t path_length,
                                           bool overwrite, applevz_operation **operation) {
    return save(machine, path, path_length, overwrite, true, operation);
}

CFErrorRef applevz_machine_restore_state(applevz_machine *machine, const char *path, size_t path_length,
                                         bool private_mapping, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_save_restore_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path", &error) : nil;
        if (url == nil)
            return error;
        AppleVZVerb verb = ^(VZVirtualMachine *object, void (^completion)(NSError *)) {
            SEL mapping = @selector(applevzRestoreMachineStateByMappingURL:completionHandler:);
            BOOL can_map = [object respondsToSelector:mapping];
            // A framework that cannot map the file may wait for what is none. In another state than stopped it refuses
            // to restore, which is then what is wrong.
            NSError *refusal =
                !can_map && object.state == VZVirtualMachineStateStopped ? applevz_error_of_saved_state(url) : nil;
            void (^restored)(NSError *) = ^(NSError *_Nullable failure) {
                completion(failure != nil ? applevz_restore_error(failure, url) : nil);
            };
            if (refusal != nil)
                completion(refusal);
            else if (private_mapping && can_map)
                [(id<AppleVZSaveRestoreExtensions>)object applevzRestoreMachineStateByMappingURL:url
                                                                               completionHandler:restored];
            else
                [(id<AppleVZSaveRestore>)object restoreMachineStateFromURL:url completionHandler:restored];
        };
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) performRestore:verb]);
        return nil;
    });
}
