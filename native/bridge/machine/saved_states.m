// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import <Virtualization/Virtualization.h>

NSError *applevz_saved_state_inspection_missing(void) {
    if ([VZVirtualMachine respondsToSelector:@selector(applevzSavedStateAtURL:isState:error:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Saved states cannot be looked into on this host.",
                         @"What the virtualization framework writes is its own: nothing says what is in it.",
                         @"Keep a note beside each file, such as the name of its parent.");
}

CFErrorRef applevz_saved_state_open(const char *path, size_t path_length, applevz_saved_state **state) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_saved_state_inspection_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path", &error) : nil;
        if (url == nil)
            return error;
        Class<AppleVZSavedStates> states = (Class)[VZVirtualMachine class];
        BOOL is_state = YES;
        id<AppleVZSavedState> object = [states applevzSavedStateAtURL:url isState:&is_state error:&error];
        if (object == nil && is_state)
            return error ?: applevz_refused_without_error(@"saved state");
        *state = object != nil ? applevz_hand_over_handle(object) : NULL;
        return nil;
    });
}

void applevz_saved_state_release(applevz_saved_state *state) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(state);
    });
}

CFErrorRef applevz_saved_state_describe(applevz_saved_state *state, char **text, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        NSDictionary *description = [applevz_borrowed(NSObject<AppleVZSavedState>, state) applevzDescription];
        NSError *error = nil;
        NSData *data = [NSJSONSerialization dataWithJSONObject:description options:0 error:&error];
        if (data == nil)
            return error ?: applevz_refused_without_error(@"description of a saved state");
        *text = applevz_copy_data(data, length);
        return nil;
    });
}

CFErrorRef applevz_saved_state_check_next(applevz_saved_state *state, uint64_t length, uint64_t *done) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        uint64_t behind = 0;
        if (![applevz_borrowed(NSObject<AppleVZSavedState>, state) applevzCheckNext:length done:&behind error:&error])
            return error ?: applevz_refused_without_error(@"check of a saved state");
        *done = behind;
        return nil;
    });
}

CFErrorRef applevz_saved_state_check_configuration(applevz_saved_state *state, applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        // A copy: what is opened for it goes with it.
        VZVirtualMachineConfiguration *object = [applevz_borrowed(VZVirtualMachineConfiguration, configuration) copy];
        return [applevz_borrowed(NSObject<AppleVZSavedState>, state) applevzErrorForConfiguration:object];
    });
}
