// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/ownership.h"
#import "boundary/refusals.h"
#import "boundary/text.h"
#import <Virtualization/Virtualization.h>

CFErrorRef applevz_fork_server_create(const char *path, size_t path_length, applevz_fork_server **server) {
    return applevz_guard(^NSError *_Nullable {
        Class<AppleVZForkServers> servers = (Class)[VZVirtualMachine class];
        if (![VZVirtualMachine respondsToSelector:@selector(applevzForkServerWithLibraryURL:error:)])
            return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Machines have no fork server here.",
                                 @"This framework does not say what runs its machines.", nil);
        NSError *error = nil;
        NSURL *url = applevz_file_url(path, path_length, @"path", &error);
        id object = url != nil ? [servers applevzForkServerWithLibraryURL:url error:&error] : nil;
        if (object == nil)
            return error ?: applevz_refused_without_error(@"fork server");
        *server = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_fork_server_release(applevz_fork_server *server) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(server);
    });
}
