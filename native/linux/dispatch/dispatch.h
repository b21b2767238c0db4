// SPDX-License-Identifier: Apache-2.0
// The part of libdispatch that programs for the Virtualization framework use, with Apple's names, types and
// nullability. What is not declared here is not implemented.
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#ifndef __OBJC__
#error "this <dispatch/dispatch.h> is for Objective-C: compile the file as Objective-C (.m or .mm)"
#endif

// Apple's brings these with it, and programs rely on that.
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include <dispatch/base.h>
#include <dispatch/object.h>
#include <dispatch/time.h>
#include <dispatch/queue.h>
#include <dispatch/block.h>
#include <dispatch/once.h>
#include <dispatch/semaphore.h>
#include <dispatch/group.h>
#include <dispatch/source.h>

#endif
