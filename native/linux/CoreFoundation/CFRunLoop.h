// SPDX-License-Identifier: Apache-2.0
#ifndef APPLEVZ_CFRUNLOOP_H
#define APPLEVZ_CFRUNLOOP_H

#include <CoreFoundation/CFBase.h>

CF_EXTERN_C_BEGIN
CF_ASSUME_NONNULL_BEGIN

// An NSRunLoop under its other name, though not toll-free bridged on a Mac either.
typedef struct __CFRunLoop *CFRunLoopRef;

typedef CFStringRef CFRunLoopMode;
CF_EXPORT const CFRunLoopMode kCFRunLoopDefaultMode __asm__("NSDefaultRunLoopMode");
CF_EXPORT const CFRunLoopMode kCFRunLoopCommonModes __asm__("NSRunLoopCommonModes");

typedef SInt32 CFRunLoopRunResult;
enum {
    kCFRunLoopRunFinished = 1,
    kCFRunLoopRunStopped = 2,
    kCFRunLoopRunTimedOut = 3,
    kCFRunLoopRunHandledSource = 4,
};

CF_EXPORT CFRunLoopRef CFRunLoopGetCurrent(void);
CF_EXPORT CFRunLoopRef CFRunLoopGetMain(void);
// Runs the calling thread's run loop in the default mode, until CFRunLoopStop. The main thread's runs the main queue.
CF_EXPORT void CFRunLoopRun(void);
// Runs it in that mode, not the common ones, for so many seconds, with 0 one turn; at most until it has handled
// something where returnAfterSourceHandled is true. The main thread's run loop always has something to wait for: the
// main queue.
CF_EXPORT CFRunLoopRunResult CFRunLoopRunInMode(CFRunLoopMode mode, CFTimeInterval seconds,
                                                Boolean returnAfterSourceHandled);
// Ends the innermost run, by one of the two functions above, of that run loop, from any thread.
CF_EXPORT void CFRunLoopStop(CFRunLoopRef runLoop);
CF_EXPORT void CFRunLoopWakeUp(CFRunLoopRef runLoop);
CF_EXPORT CFTypeID CFRunLoopGetTypeID(void);
#if defined(__BLOCKS__)
// The mode is a string, or an array of them. The run loop calls blocks in their order, each once.
CF_EXPORT void CFRunLoopPerformBlock(CFRunLoopRef runLoop, CFTypeRef mode, void (^block)(void));
#endif

CF_ASSUME_NONNULL_END
CF_EXTERN_C_END

#endif
