// SPDX-License-Identifier: Apache-2.0
#import "socket_listeners.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/guard.h"

@implementation AppleVZSocketListeners {
    NSMutableArray<AppleVZSocketListener *> *_listeners;
}

- (instancetype)init {
    self = [super init];
    if (self != nil)
        _listeners = [NSMutableArray array];
    return self;
}

static VZVirtioSocketDevice *device_of(AppleVZSocketListener *listener, VZVirtualMachine *machine) {
    return (VZVirtioSocketDevice *)machine.socketDevices[listener.deviceIndex];
}

static NSError *set(AppleVZSocketListener *listener, VZVirtualMachine *machine) {
    VZVirtioSocketDevice *device = device_of(listener, machine);
    NSError *error = nil;
    if (![device respondsToSelector:@selector(applevzSetSocketListener:forPort:error:)]) {
        [device setSocketListener:listener.listener forPort:listener.port];
        return nil;
    }
    return [(id<AppleVZSocketListening>)device applevzSetSocketListener:listener.listener
                                                                forPort:listener.port
                                                                  error:&error]
               ? nil
               : error;
}

- (NSError *)add:(AppleVZSocketListener *)listener to:(VZVirtualMachine *)machine {
    for (AppleVZSocketListener *present in _listeners)
        if (present.deviceIndex == listener.deviceIndex && present.port == listener.port)
            return applevz_invalid_argument(
                @"The port has a listener.",
                [NSString stringWithFormat:@"port is %u, which somebody listens to already.", (unsigned)listener.port],
                @"Close that listener first, or use another port.");
    NSError *error = set(listener, machine);
    if (error == nil)
        [_listeners addObject:listener];
    return error;
}

- (void)remove:(AppleVZSocketListener *)listener from:(VZVirtualMachine *)machine {
    if (![_listeners containsObject:listener])
        return;
    [_listeners removeObject:listener];
    [device_of(listener, machine) removeSocketListenerForPort:listener.port];
}

- (void)addAllTo:(VZVirtualMachine *)machine {
    // What another program has taken meanwhile, or the framework raises for, is heard of when it is listened to anew.
    for (AppleVZSocketListener *listener in _listeners)
        (void)applevz_error_raised_by(^{
            (void)set(listener, machine);
        });
}

- (void)closeWithError:(NSError *)error {
    for (AppleVZSocketListener *listener in _listeners)
        [listener closeWithError:error];
    [_listeners removeAllObjects];
}

@end
