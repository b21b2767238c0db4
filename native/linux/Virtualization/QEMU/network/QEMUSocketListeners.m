// SPDX-License-Identifier: Apache-2.0
#import "QEMUSocketListeners.h"
#import "QEMU/program/QEMUSocketTransport.h"
#import <dispatch/dispatch.h>
#import <errno.h>
#import <unistd.h>

enum {
    // How long a process without descriptors to spare waits before it looks for the next connection.
    RELIEF_MILLISECONDS = 100,
    // At a time: of a guest that never stops connecting, whoever wants to listen or to stop has a turn, too.
    ACCEPTED_IN_A_TURN = 64,
    // How long a port that this process has just left is waited for.
    CLOSING_MILLISECONDS = 1000,
};

/// The sockets that are being closed: each is when its source lets go of it, for which the poller has to have done so.
static dispatch_group_t closing(void) {
    static dispatch_group_t group;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        group = dispatch_group_create();
    });
    return group;
}

@interface QEMUListeningGuest : NSObject
@property (weak) id<QEMUSocketListening> guest;
@end

@implementation QEMUListeningGuest
@end

/// One port, on the queue of all of them.
@interface QEMUListeningPort : NSObject
@end

@implementation QEMUListeningPort {
    uint32_t _port;
    HostDescriptor *_socket;
    QEMUSocketTransport *_transport;
    dispatch_source_t _source;
    NSMutableArray<QEMUListeningGuest *> *_guests;
}

- (instancetype)initWithPort:(uint32_t)port queue:(dispatch_queue_t)queue error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _port = port;
    _guests = [NSMutableArray array];
    _transport = QEMUSocketTransport.current;
    _socket = [_transport socketListeningOnPort:port error:error];
    if (_socket == nil)
        return nil;
    __weak QEMUListeningPort *weak_self = self;
    __block HostDescriptor *socket = _socket;
    _source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)socket.number, 0, queue);
    dispatch_source_set_event_handler(_source, ^{
        [weak_self accept];
    });
    dispatch_group_t group = closing();
    dispatch_source_set_cancel_handler(_source, ^{
        socket = nil;
        dispatch_group_leave(group);
    });
    dispatch_resume(_source);
    return self;
}

- (void)dealloc {
    if (_source == nil)
        return;
    _socket = nil;
    dispatch_group_enter(closing());
    dispatch_source_cancel(_source);
}

- (void)accept {
    @autoreleasepool {
        uint32_t guest = 0, port = 0;
        for (int i = 0; i < ACCEPTED_IN_A_TURN; i++) {
            int descriptor = [_transport acceptFrom:_socket guest:&guest port:&port];
            if (descriptor >= 0)
                [self deliver:descriptor of:guest from:port];
            else if (errno != EINTR && errno != ECONNABORTED)
                break;
            errno = 0;
        }
        if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
            return;
        // It is ready again at once, and no better off.
        dispatch_source_t source = _source;
        dispatch_suspend(source);
        dispatch_after(dispatch_time(DISPATCH_TIME_NOW, RELIEF_MILLISECONDS * (int64_t)NSEC_PER_MSEC),
                       dispatch_get_global_queue(QOS_CLASS_DEFAULT, 0), ^{
                           dispatch_resume(source);
                       });
    }
}

- (void)deliver:(int)descriptor of:(uint32_t)number from:(uint32_t)port {
    for (QEMUListeningGuest *listening in _guests) {
        id<QEMUSocketListening> guest = listening.guest;
        if (guest == nil || guest.guest != number)
            continue;
        [guest takeConnection:descriptor fromPort:port toPort:_port];
        return;
    }
    close(descriptor);
}

- (void)add:(id<QEMUSocketListening>)guest {
    [self remove:guest];
    QEMUListeningGuest *listening = [[QEMUListeningGuest alloc] init];
    listening.guest = guest;
    [_guests addObject:listening];
}

/// The guest, if it is not nil, and those that are gone. NO when none is left.
- (BOOL)remove:(id<QEMUSocketListening>)guest {
    NSMutableArray<QEMUListeningGuest *> *left = [NSMutableArray array];
    for (QEMUListeningGuest *listening in _guests) {
        id<QEMUSocketListening> present = listening.guest;
        if (present != nil && present != guest)
            [left addObject:listening];
    }
    _guests = left;
    return left.count > 0;
}

@end

static NSMutableDictionary<NSNumber *, QEMUListeningPort *> *ports; // on the queue

static dispatch_queue_t listeners_queue(void) {
    static dispatch_queue_t queue;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        queue = dispatch_queue_create("applevz.socket-listeners", DISPATCH_QUEUE_SERIAL);
        ports = [NSMutableDictionary dictionary];
    });
    return queue;
}

static void remove_from(NSNumber *number, id<QEMUSocketListening> _Nullable guest) {
    if (![ports[number] remove:guest])
        [ports removeObjectForKey:number];
}

/// nil, or why the port cannot be listened to.
static NSError *listen_for(id<QEMUSocketListening> guest, uint32_t port) {
    __block NSError *refusal = nil;
    dispatch_queue_t queue = listeners_queue();
    dispatch_sync(queue, ^{
        @autoreleasepool {
            NSError *failure = nil;
            QEMUListeningPort *listening =
                ports[@(port)] ?: [[QEMUListeningPort alloc] initWithPort:port queue:queue error:&failure];
            [listening add:guest];
            if (listening != nil)
                ports[@(port)] = listening;
            refusal = failure;
        }
    });
    return refusal;
}

BOOL QEMUListenForGuest(id<QEMUSocketListening> guest, uint32_t port, NSError **error) {
    NSError *refusal = listen_for(guest, port);
    if (refusal.code == EADDRINUSE) {
        // By a machine of this process, perhaps, that is gone.
        dispatch_group_wait(closing(), dispatch_time(DISPATCH_TIME_NOW, CLOSING_MILLISECONDS * (int64_t)NSEC_PER_MSEC));
        refusal = listen_for(guest, port);
    }
    if (refusal != nil && error != NULL)
        *error = refusal;
    return refusal == nil;
}

void QEMUStopListeningForGuest(id<QEMUSocketListening> guest, uint32_t port) {
    dispatch_sync(listeners_queue(), ^{
        @autoreleasepool {
            remove_from(@(port), guest);
        }
    });
}

void QEMUForgetGuestsThatAreGone(void) {
    dispatch_async(listeners_queue(), ^{
        @autoreleasepool {
            for (NSNumber *number in ports.allKeys)
                remove_from(number, nil);
        }
    });
}
