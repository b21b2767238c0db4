// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/refusals.h"
#import "boundary/text.h"
#import <Virtualization/Virtualization.h>

static BOOL has_log(void) {
    return [VZVirtualMachine respondsToSelector:@selector(applevzKeepLog:)];
}

void applevz_log_keep(bool keep) {
    applevz_guard_infallible(^{
        Class<AppleVZLog> log = (Class)[VZVirtualMachine class];
        if (has_log())
            [log applevzKeepLog:keep];
    });
}

CFErrorRef applevz_log_take(char **text, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        Class<AppleVZLog> log = (Class)[VZVirtualMachine class];
        NSArray *lines = has_log() ? [log applevzTakeLog] : @[];
        NSError *error = nil;
        NSData *data = [NSJSONSerialization dataWithJSONObject:lines options:0 error:&error];
        if (data == nil)
            return error ?: applevz_refused_without_error(@"log");
        *text = applevz_copy_data(data, length);
        return nil;
    });
}
