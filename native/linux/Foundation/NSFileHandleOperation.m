// SPDX-License-Identifier: Apache-2.0
#import "NSConcreteFileHandle.h"
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

@interface NSFileHandleOperation () <RunLoopEvents>
@end

@implementation NSFileHandleOperation {
    // A duplicate. The run loop knows watchers by the number, which the file handle's own shares with every other file
    // handle for the same descriptor, and which gets another meaning when it is closed.
    int _descriptor;
    NSArray<NSString *> *_modes;
    NSThread *_thread;
    BOOL (^_step)(int descriptor);
    // While it is watched; the run loop does not retain its watchers.
    NSFileHandleOperation *_self;
}

- (instancetype)initWithDescriptor:(int)descriptor modes:(NSArray<NSString *> *)modes step:(BOOL (^)(int))step {
    self = [super init];
    if (self == nil)
        return nil;
    _descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (_descriptor < 0)
        return nil;
    _modes = modes.count > 0 ? [modes copy] : @[ NSDefaultRunLoopMode ];
    _thread = NSThread.currentThread;
    _step = [step copy];
    _self = self;
    for (NSString *mode in _modes)
        [NSRunLoop.currentRunLoop addEvent:(void *)(intptr_t)_descriptor type:ET_RDESC watcher:self forMode:mode];
    return self;
}

- (void)dealloc {
    if (_descriptor >= 0)
        close(_descriptor);
}

- (void)end {
    if (_self == nil)
        return;
    for (NSString *mode in _modes)
        [NSRunLoop.currentRunLoop removeEvent:(void *)(intptr_t)_descriptor type:ET_RDESC forMode:mode all:YES];
    _step = nil;
    // Last: this may be the last reference.
    _self = nil;
}

- (void)cancel {
    if (NSThread.currentThread == _thread)
        [self end];
    else if (!_thread.isFinished)
        [self performSelector:@selector(end) onThread:_thread withObject:nil waitUntilDone:NO modes:_modes];
}

- (void)receivedEvent:(void *)data type:(RunLoopEventType)type extra:(void *)extra forMode:(NSString *)mode {
    (void)data, (void)type, (void)extra, (void)mode;
    // Another reader may have come first, and reading would wait.
    struct pollfd now = {.fd = _descriptor, .events = POLLIN};
    if (_self == nil || poll(&now, 1, 0) == 0)
        return;
    __attribute__((objc_precise_lifetime)) NSFileHandleOperation *kept = self;
    BOOL (^step)(int) = _step;
    if (step(_descriptor))
        [kept end];
}

@end
