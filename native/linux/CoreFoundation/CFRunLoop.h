// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFRUNLOOP_H
#define APPLEVZ_CFRUNLOOP_H

#include <CoreFoundation/CFBase.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

// An NSRunLoop under its other name, though not toll-free bridged on a Mac either.
typedef struct __CFRunLoop *CFRunLoopRef;

CF_EXPORT CFRunLoopRef CFRunLoopGetCurrent(void);
CF_EXPORT CFRunLoopRef CFRunLoopGetMain(void);
// Runs the calling thread's run loop in the default mode, until CFRunLoopStop. The main thread's runs the main queue.
CF_EXPORT void CFRunLoopRun(void);
// Ends the innermost CFRunLoopRun of that run loop, from any thread.
CF_EXPORT void CFRunLoopStop(CFRunLoopRef runLoop);
CF_EXPORT void CFRunLoopWakeUp(CFRunLoopRef runLoop);

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
