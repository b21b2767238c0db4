// SPDX-License-Identifier: Apache-2.0
// The Objective-C classes of queues.
#ifndef DISPATCH_QUEUE_OBJECT_H
#define DISPATCH_QUEUE_OBJECT_H

#include "queue_core.h"

@interface DispatchQueue : DispatchObject <OS_dispatch_queue, OS_dispatch_queue_main, OS_dispatch_queue_global>
@end

@interface DispatchQueueAttribute : NSObject <OS_dispatch_queue_attr> {
  @public
    bool _concurrent;
    bool _inactive;
}
@end

#endif
