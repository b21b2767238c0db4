// SPDX-License-Identifier: Apache-2.0
#import "run_loop_turn.h"

#import <Foundation/NSRunLoop.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "descriptor.h"

@interface DispatchRunLoopTurn () <RunLoopEvents>
@end

@implementation DispatchRunLoopTurn {
    int _descriptor;
    // While it is watched; the run loop does not retain its watchers.
    DispatchRunLoopTurn *_self;
}

+ (void)end {
    NSRunLoop *loop = NSRunLoop.currentRunLoop;
    NSString *mode = loop.currentMode;
    DispatchRunLoopTurn *turn = [[self alloc] init];
    turn->_descriptor = descriptor_above_standard(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    // Without one the run loop waits on, as GNUstep has it.
    if (mode == nil || turn->_descriptor < 0)
        return;
    turn->_self = turn;
    [loop addEvent:(void *)(intptr_t)turn->_descriptor type:ET_RDESC watcher:turn forMode:mode];
}

- (void)dealloc {
    if (_descriptor >= 0)
        close(_descriptor);
}

- (void)receivedEvent:(void *)data type:(RunLoopEventType)type extra:(void *)extra forMode:(NSString *)mode {
    (void)extra;
    [NSRunLoop.currentRunLoop removeEvent:data type:type forMode:mode all:YES];
    // Last: this may be the last reference.
    _self = nil;
}

@end
