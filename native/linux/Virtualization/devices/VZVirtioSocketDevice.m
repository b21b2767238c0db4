// SPDX-License-Identifier: Apache-2.0
#import "QEMU/program/QEMUSocketTransport.h"
#import "support/VZErrors+Private.h"
#import "VZVirtioSocketDevice+Private.h"
#import "machine/VZVirtualMachine+Private.h"
#import <errno.h>
#import <fcntl.h>
#import <stdatomic.h>
#import <sys/socket.h>
#import <unistd.h>

typedef void (^ConnectionCompletion)(VZVirtioSocketConnection *_Nullable connection, NSError *_Nullable error);

/// A connection that is being made, which its socket's becoming writable tells the end of.
@interface VZSocketConnectionAttempt : NSObject
@property (copy) ConnectionCompletion completion;
@property HostDescriptor *socket;
@property dispatch_source_t source;
@end

@implementation VZSocketConnectionAttempt

- (void)dealloc {
    if (_source != nil)
        dispatch_source_cancel(_source);
}

@end

@implementation VZVirtioSocketDevice {
    dispatch_queue_t _queue;
    _Atomic(uint32_t) _guest;
    NSMutableDictionary<NSNumber *, VZVirtioSocketListener *> *_listeners; // by port
    NSMutableSet<VZSocketConnectionAttempt *> *_attempts;
}

- (instancetype)initWithQueue:(dispatch_queue_t)queue {
    self = [super initForSubclass];
    if (self != nil) {
        _queue = queue;
        _listeners = [NSMutableDictionary dictionary];
        _attempts = [NSMutableSet set];
    }
    return self;
}

- (void)dealloc {
    [self endAttempts];
    if (_listeners.count > 0)
        QEMUForgetGuestsThatAreGone();
}

#pragma mark The guest

- (uint32_t)guest {
    return atomic_load(&_guest);
}

- (void)guestIsReady:(uint32_t)guest {
    atomic_store(&_guest, guest);
}

- (void)guestIsGone {
    atomic_store(&_guest, 0);
    [self endAttempts];
}

- (void)instanceReady:(QEMUInstance *)instance {
    [self guestIsReady:instance.commandLine.socketGuest];
}

- (void)instanceEnded {
    [self guestIsGone];
}

#pragma mark What the guest connects to

- (void)setSocketListener:(VZVirtioSocketListener *)listener forPort:(uint32_t)port {
    NSError *error = nil;
    if (![self applevzSetSocketListener:listener forPort:port error:&error])
        NSLog(@"%@", error.localizedDescription);
}

- (BOOL)applevzSetSocketListener:(VZVirtioSocketListener *)listener forPort:(uint32_t)port error:(NSError **)error {
    NSError *cause = nil;
    if (_listeners[@(port)] == nil && !QEMUListenForGuest(self, port, &cause))
        return VZRefuse(error, VZErrorWithReason(VZErrorNetworkError, @"The guest's connections cannot be taken.",
                                                 [NSString stringWithFormat:@"port is %u: %@.", (unsigned)port,
                                                                            VZSystemCallErrorText((int)cause.code)],
                                                 cause.code == EADDRINUSE
                                                     ? @"Another program of this host listens to it. Use another port."
                                                 : cause.code == EACCES ? @"Use a port from 1024 on."
                                                                        : nil,
                                                 cause));
    _listeners[@(port)] = listener;
    return YES;
}

- (void)removeSocketListenerForPort:(uint32_t)port {
    if (_listeners[@(port)] == nil)
        return;
    [_listeners removeObjectForKey:@(port)];
    QEMUStopListeningForGuest(self, port);
}

- (void)takeConnection:(int)descriptor fromPort:(uint32_t)source toPort:(uint32_t)destination {
    // Closes the socket where it is dropped on the way.
    VZVirtioSocketConnection *connection = [[VZVirtioSocketConnection alloc] initWithDescriptor:descriptor
                                                                                     sourcePort:source
                                                                                destinationPort:destination];
    __weak VZVirtioSocketDevice *weak_self = self;
    dispatch_async(_queue, ^{
        @autoreleasepool {
            [weak_self offer:connection];
        }
    });
}

- (void)offer:(VZVirtioSocketConnection *)connection {
    VZVirtioSocketListener *listener = _listeners[@(connection.destinationPort)];
    id<VZVirtioSocketListenerDelegate> delegate = listener.delegate;
    if (![delegate respondsToSelector:@selector(listener:shouldAcceptNewConnection:fromSocketDevice:)] ||
        ![delegate listener:listener shouldAcceptNewConnection:connection fromSocketDevice:self])
        [connection close];
}

#pragma mark What the guest listens to

- (void)connectToPort:(uint32_t)port completionHandler:(ConnectionCompletion)completionHandler {
    uint32_t guest = self.guest;
    NSError *error = nil;
    HostDescriptor *socket = nil;
    if (guest == 0)
        error = VZErrorWithReason(VZErrorInvalidVirtualMachineState, nil, @"The virtual machine has no guest now.",
                                  @"Its guest can be connected to when it is running.", nil);
    else
        socket = [QEMUSocketTransport.current socketConnectingToGuest:guest port:port error:&error];
    if (socket == nil) {
        dispatch_async(_queue, ^{
            completionHandler(nil, error);
        });
        return;
    }
    VZSocketConnectionAttempt *attempt = [[VZSocketConnectionAttempt alloc] init];
    attempt.completion = completionHandler;
    attempt.socket = socket;
    attempt.source = dispatch_source_create(DISPATCH_SOURCE_TYPE_WRITE, (uintptr_t)socket.number, 0, _queue);
    __weak VZVirtioSocketDevice *weak_self = self;
    __weak VZSocketConnectionAttempt *weak_attempt = attempt;
    dispatch_source_set_event_handler(attempt.source, ^{
        VZSocketConnectionAttempt *strong_attempt = weak_attempt;
        if (strong_attempt != nil)
            [weak_self finish:strong_attempt port:port];
    });
    // Until its cancellation is through a source uses the descriptor, which must not be closed before.
    dispatch_source_set_cancel_handler(attempt.source, ^{
        (void)socket;
    });
    [_attempts addObject:attempt];
    dispatch_resume(attempt.source);
}

- (void)finish:(VZSocketConnectionAttempt *)attempt port:(uint32_t)port {
    ConnectionCompletion completion = attempt.completion;
    if (![_attempts containsObject:attempt])
        return;
    [_attempts removeObject:attempt];
    int number = 0;
    socklen_t length = sizeof number;
    int descriptor = attempt.socket.number;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length) != 0)
        number = errno;
    // A descriptor of its own: the attempt's is its source's as long as that likes.
    int own = number == 0 ? fcntl(descriptor, F_DUPFD_CLOEXEC, 3) : -1;
    if (number == 0 && own < 0)
        number = errno;
    if (number != 0) {
        completion(nil, VZSystemCallError(number, nil));
        return;
    }
    fcntl(own, F_SETFL, fcntl(own, F_GETFL) & ~O_NONBLOCK);
    completion([[VZVirtioSocketConnection alloc] initWithDescriptor:own
                                                         sourcePort:[QEMUSocketTransport.current portOfSocket:own]
                                                    destinationPort:port],
               nil);
}

- (void)endAttempts {
    NSSet<VZSocketConnectionAttempt *> *attempts = [_attempts copy];
    [_attempts removeAllObjects];
    for (VZSocketConnectionAttempt *attempt in attempts) {
        ConnectionCompletion completion = attempt.completion;
        // It may be the end of the device, whose owner is not to be called from within it.
        dispatch_async(_queue, ^{
            completion(nil, VZErrorWithReason(VZErrorOperationCancelled, nil,
                                              @"The virtual machine ended while its guest was being connected to.", nil,
                                              nil));
        });
    }
}

@end
