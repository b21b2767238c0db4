// SPDX-License-Identifier: Apache-2.0
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "machine/machine.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "machine/socket_listener.h"
#import "machine/socket_listeners.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>
#import <errno.h>
#import <fcntl.h>

// From one attempt at a port that nothing in the guest listens to yet to the next.
enum { FIRST_PAUSE_MILLISECONDS = 10, LONGEST_PAUSE_MILLISECONDS = 500 };

NSError *applevz_sockets_missing(void) {
    Class<AppleVZSockets> extensions = (Class)[VZVirtioSocketDeviceConfiguration class];
    if ([VZVirtioSocketDeviceConfiguration respondsToSelector:@selector(applevzSocketsError)])
        return [extensions applevzSocketsError];
    return nil; // where the framework runs machines, it has these
}

CFErrorRef applevz_configuration_add_virtio_socket_device(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.socketDevices =
            [object.socketDevices arrayByAddingObject:[[VZVirtioSocketDeviceConfiguration alloc] init]];
        return nil;
    });
}

CFErrorRef applevz_machine_socket_device_count(applevz_machine *machine, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
            *count = object.socketDevices.count;
            return nil;
        }];
    });
}

static VZVirtioSocketDevice *device_of(VZVirtualMachine *machine, size_t index, NSError **error) {
    NSArray<VZSocketDevice *> *devices = machine.socketDevices;
    if (index < devices.count)
        return (VZVirtioSocketDevice *)devices[index];
    *error = applevz_no_such_index(@"There is no such socket device.", index, devices.count,
                                   @"Add a socket device to the configuration.");
    return nil;
}

#pragma mark What the guest listens to

/// What a guest says that has not come so far yet as to listen, or whose driver is not there.
static bool is_early(NSError *error) {
    for (NSError *cause = error; cause != nil; cause = cause.userInfo[NSUnderlyingErrorKey])
        if ([cause.domain isEqualToString:NSPOSIXErrorDomain])
            return cause.code == ECONNRESET || cause.code == ECONNREFUSED || cause.code == ETIMEDOUT ||
                   cause.code == ENODEV || cause.code == EAGAIN || cause.code == EHOSTUNREACH;
    return false;
}

/// One attempt after the other, until one is successful, fails for good, or nobody waits for it any more. On the
/// machine's queue; no block that waits keeps the machine.
static void try_to_connect(__weak AppleVZMachine *machine, VZVirtualMachine *object, size_t index, uint32_t port,
                           unsigned pause, AppleVZOperation *result, void (^done)(void)) {
    NSError *error = nil;
    VZVirtioSocketDevice *device = device_of(object, index, &error);
    if (device == nil) {
        [result completeWithError:error];
        done();
        return;
    }
    void (^failed)(NSError *) = ^(NSError *refusal) {
        [result completeWithError:refusal];
        done();
    };
    void (^again)(void) = ^{
        AppleVZMachine *owner = machine;
        // Given up while it waited: the guest is not to see a connection that nobody has.
        if (result.completed || result.abandoned) {
            done();
            return;
        }
        NSError *refusal = [owner access:^NSError *(VZVirtualMachine *present) {
            try_to_connect(machine, present, index, port, MIN(2 * pause, LONGEST_PAUSE_MILLISECONDS), result, done);
            return nil;
        }];
        // Where the machine was released meanwhile, that has been told.
        if (refusal != nil)
            failed(refusal);
    };
    __block BOOL is_over = NO;
    [device connectToPort:port
        completionHandler:^(VZVirtioSocketConnection *_Nullable connection, NSError *_Nullable failure) {
            // Once: each of two attempts after one would make two more.
            if (is_over)
                return;
            is_over = YES;
            NSError *raised = applevz_error_raised_by(^{
                if (connection == nil && is_early(failure) && !result.completed && !result.abandoned) {
                    [machine after:pause perform:again failed:failed];
                    return;
                }
                // The framework closes its own with the connection, which ends here.
                int descriptor = connection != nil ? fcntl(connection.fileDescriptor, F_DUPFD_CLOEXEC, 3) : -1;
                if (descriptor >= 0)
                    [result completeWithDescriptor:descriptor];
                else
                    [result completeWithError:failure ?: applevz_posix_error(errno)];
                done();
            });
            if (raised != nil)
                failed(raised);
        }];
}

CFErrorRef applevz_machine_socket_connect(applevz_machine *machine, size_t index, uint32_t port,
                                          applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        __weak AppleVZMachine *weak_owner = owner;
        *operation = applevz_hand_over_handle(
            [owner request:^(VZVirtualMachine *object, AppleVZOperation *result, void (^done)(void)) {
                try_to_connect(weak_owner, object, index, port, FIRST_PAUSE_MILLISECONDS, result, done);
            }]);
        return nil;
    });
}

#pragma mark What the guest connects to

CFErrorRef applevz_machine_socket_listen(applevz_machine *machine, size_t index, uint32_t port,
                                         applevz_socket_listener **listener) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        AppleVZSocketListener *object = [[AppleVZSocketListener alloc] initWithMachine:owner device:index port:port];
        NSError *error = [owner access:^NSError *(VZVirtualMachine *present) {
            NSError *missing = nil;
            return device_of(present, index, &missing) != nil ? [owner.socketListeners add:object to:present] : missing;
        }];
        if (error == nil)
            *listener = applevz_hand_over_handle(object);
        return error;
    });
}

CFErrorRef applevz_socket_listener_take(applevz_socket_listener *listener, int *descriptor) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        int taken = [applevz_borrowed(AppleVZSocketListener, listener) takeWithError:&error];
        if (error == nil)
            *descriptor = taken;
        return error;
    });
}

CFErrorRef applevz_socket_listener_wait(applevz_socket_listener *listener, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZSocketListener, listener) wait]);
        return nil;
    });
}

/// Whoever waits is told so, also where the framework raises instead of giving the port back. A machine that was
/// released has closed it.
static NSError *close_listener(AppleVZSocketListener *listener) {
    AppleVZMachine *owner = listener.machine;
    NSError *raised = applevz_error_raised_by(^{
        [owner access:^NSError *(VZVirtualMachine *present) {
            [owner.socketListeners remove:listener from:present];
            return nil;
        }];
    });
    [listener closeWithError:applevz_error(
                                 AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_STATE, @"The listener was closed.",
                                 [NSString stringWithFormat:@"It listened to port %u.", (unsigned)listener.port],
                                 @"Listen anew.")];
    return raised;
}

CFErrorRef applevz_socket_listener_close(applevz_socket_listener *listener) {
    return applevz_guard(^NSError *_Nullable {
        return close_listener(applevz_borrowed(AppleVZSocketListener, listener));
    });
}

void applevz_socket_listener_release(applevz_socket_listener *listener) {
    applevz_guard_infallible(^{
        (void)close_listener(applevz_take_back_handle(listener));
    });
}
