// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_RUN_LOOP_TURN_H
#define DISPATCH_RUN_LOOP_TURN_H

#import <Foundation/NSObject.h>

/// An event that a run loop sees at once, and then no more. GNUstep's run loop goes on to wait when it has done what it
/// was asked to perform, or a timer has fired; on macOS it returns when it has handled anything but a timer, and a
/// program that runs it until something is done relies on that.
@interface DispatchRunLoopTurn : NSObject

/// Ends the turn of the run loop that runs now, on this thread, if one does.
+ (void)end;

@end

#endif
