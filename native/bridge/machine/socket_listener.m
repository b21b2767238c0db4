// SPDX-License-Identifier: Apache-2.0
#import "socket_listener.h"
#import "boundary/guard.h"
#import "waiting/waiters.h"
#import <fcntl.h>
#import <pthread.h>
#import <unistd.h>

// More that nobody takes are refused, as by a socket that listens.
enum { CAPACITY = 128 };

@interface AppleVZSocketListener () <VZVirtioSocketListenerDelegate>
@end

@implementation AppleVZSocketListener {
    pthread_mutex_t _lock; // guards all that follows
    NSMutableArray<NSNumber *> *_descriptors;
    AppleVZWaiters *_waiters;
    NSError *_end;
}

- (instancetype)initWithMachine:(AppleVZMachine *)machine device:(NSUInteger)index port:(uint32_t)port {
    self = [super init];
    if (self != nil) {
        pthread_mutex_init(&_lock, NULL);
        _machine = machine;
        _deviceIndex = index;
        _port = port;
        _descriptors = [NSMutableArray array];
        _waiters = [[AppleVZWaiters alloc] init];
        _listener = [[VZVirtioSocketListener alloc] init];
        _listener.delegate = self;
    }
    return self;
}

- (void)dealloc {
    for (NSNumber *descriptor in _descriptors)
        close(descriptor.intValue);
    pthread_mutex_destroy(&_lock);
}

/// The framework closes its own descriptor with the connection, which ends here.
- (BOOL)listener:(VZVirtioSocketListener *)listener
    shouldAcceptNewConnection:(VZVirtioSocketConnection *)connection
             fromSocketDevice:(VZVirtioSocketDevice *)socketDevice {
    (void)listener;
    (void)socketDevice;
    // Asked without the lock, which an exception would leave held; the guest is refused then.
    __block int theirs = -1;
    (void)applevz_error_raised_by(^{
        theirs = connection.fileDescriptor;
    });
    pthread_mutex_lock(&_lock);
    int descriptor = -1;
    if (_end == nil && _descriptors.count < CAPACITY && theirs >= 0)
        descriptor = fcntl(theirs, F_DUPFD_CLOEXEC, 3);
    if (descriptor >= 0) {
        [_descriptors addObject:@(descriptor)];
        [_waiters completeWithError:nil];
    }
    pthread_mutex_unlock(&_lock);
    return descriptor >= 0;
}

- (int)takeWithError:(NSError **)error {
    pthread_mutex_lock(&_lock);
    int descriptor = _descriptors.count > 0 ? _descriptors[0].intValue : -1;
    if (descriptor >= 0)
        [_descriptors removeObjectAtIndex:0];
    else
        *error = _end;
    pthread_mutex_unlock(&_lock);
    return descriptor;
}

- (AppleVZOperation *)wait {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    pthread_mutex_lock(&_lock);
    if (_descriptors.count > 0 || _end != nil)
        [operation completeWithError:_descriptors.count > 0 ? nil : _end];
    else
        [_waiters add:operation number:0];
    pthread_mutex_unlock(&_lock);
    return operation;
}

- (void)closeWithError:(NSError *)error {
    pthread_mutex_lock(&_lock);
    _end = _end ?: error;
    for (NSNumber *descriptor in _descriptors)
        close(descriptor.intValue);
    [_descriptors removeAllObjects];
    [_waiters completeWithError:_end];
    pthread_mutex_unlock(&_lock);
}

@end
