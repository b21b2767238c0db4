// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_QUEUE_H
#define DISPATCH_QUEUE_H

#include <dispatch/object.h>
#include <dispatch/time.h>

DISPATCH_DECL(dispatch_queue_attr);

DISPATCH_ASSUME_NONNULL_BEGIN

/// Quality of service is accepted and has no effect: all work shares one pool of threads.
typedef unsigned int qos_class_t;
typedef qos_class_t dispatch_qos_class_t;
enum {
    QOS_CLASS_USER_INTERACTIVE = 0x21,
    QOS_CLASS_USER_INITIATED = 0x19,
    QOS_CLASS_DEFAULT = 0x15,
    QOS_CLASS_UTILITY = 0x11,
    QOS_CLASS_BACKGROUND = 0x09,
    QOS_CLASS_UNSPECIFIED = 0x00,
};
#define QOS_MIN_RELATIVE_PRIORITY (-15)

typedef long dispatch_queue_priority_t;
#define DISPATCH_QUEUE_PRIORITY_HIGH 2
#define DISPATCH_QUEUE_PRIORITY_DEFAULT 0
#define DISPATCH_QUEUE_PRIORITY_LOW (-2)
#define DISPATCH_QUEUE_PRIORITY_BACKGROUND INT16_MIN

/// Each work item has an autorelease pool of its own on every queue, so the attributes that ask for one change nothing.
DISPATCH_EXPORT dispatch_queue_attr_t _dispatch_queue_attr_concurrent(void);
#define DISPATCH_QUEUE_SERIAL ((dispatch_queue_attr_t _Nullable)nil)
#define DISPATCH_QUEUE_SERIAL_WITH_AUTORELEASE_POOL DISPATCH_QUEUE_SERIAL
#define DISPATCH_QUEUE_CONCURRENT (_dispatch_queue_attr_concurrent())
#define DISPATCH_QUEUE_CONCURRENT_WITH_AUTORELEASE_POOL DISPATCH_QUEUE_CONCURRENT
#define DISPATCH_TARGET_QUEUE_DEFAULT ((dispatch_queue_t _Nullable)nil)
#define DISPATCH_CURRENT_QUEUE_LABEL ((dispatch_queue_t _Nullable)nil)
#define DISPATCH_APPLY_AUTO ((dispatch_queue_t _Nullable)nil)

DISPATCH_EXPORT dispatch_queue_attr_t dispatch_queue_attr_make_with_qos_class(dispatch_queue_attr_t _Nullable attr,
                                                                              dispatch_qos_class_t qos_class,
                                                                              int relative_priority);
DISPATCH_EXPORT dispatch_queue_attr_t dispatch_queue_attr_make_initially_inactive(dispatch_queue_attr_t _Nullable attr);

DISPATCH_EXPORT DISPATCH_RETURNS_RETAINED dispatch_queue_t dispatch_queue_create(const char *_Nullable label,
                                                                                 dispatch_queue_attr_t _Nullable attr);
DISPATCH_EXPORT DISPATCH_RETURNS_RETAINED dispatch_queue_t dispatch_queue_create_with_target(
    const char *_Nullable label, dispatch_queue_attr_t _Nullable attr, dispatch_queue_t _Nullable target);

/// Takes a priority or a quality of service; NULL for another identifier, or for flags that are not 0.
DISPATCH_EXPORT dispatch_queue_global_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags);
DISPATCH_EXPORT dispatch_queue_main_t dispatch_get_main_queue(void);
/// Runs the main queue's work for ever; for the main thread alone.
DISPATCH_EXPORT DISPATCH_NORETURN void dispatch_main(void);

DISPATCH_EXPORT void dispatch_async(dispatch_queue_t queue, dispatch_block_t block);
DISPATCH_EXPORT void dispatch_async_f(dispatch_queue_t queue, void *_Nullable context, dispatch_function_t work);
/// Runs the block on the calling thread (the main queue's on the main thread), in its turn. Aborts where the calling
/// thread is on the queue already, which could never end.
DISPATCH_EXPORT void dispatch_sync(dispatch_queue_t queue, DISPATCH_NOESCAPE dispatch_block_t block);
DISPATCH_EXPORT void dispatch_sync_f(dispatch_queue_t queue, void *_Nullable context, dispatch_function_t work);
DISPATCH_EXPORT void dispatch_barrier_async(dispatch_queue_t queue, dispatch_block_t block);
DISPATCH_EXPORT void dispatch_barrier_async_f(dispatch_queue_t queue, void *_Nullable context,
                                              dispatch_function_t work);
DISPATCH_EXPORT void dispatch_barrier_sync(dispatch_queue_t queue, DISPATCH_NOESCAPE dispatch_block_t block);
DISPATCH_EXPORT void dispatch_barrier_sync_f(dispatch_queue_t queue, void *_Nullable context, dispatch_function_t work);
DISPATCH_EXPORT void dispatch_after(dispatch_time_t when, dispatch_queue_t queue, dispatch_block_t block);
DISPATCH_EXPORT void dispatch_after_f(dispatch_time_t when, dispatch_queue_t queue, void *_Nullable context,
                                      dispatch_function_t work);
DISPATCH_EXPORT void dispatch_apply(size_t iterations, dispatch_queue_t _Nullable queue,
                                    DISPATCH_NOESCAPE void (^block)(size_t iteration));
DISPATCH_EXPORT void dispatch_apply_f(size_t iterations, dispatch_queue_t _Nullable queue, void *_Nullable context,
                                      void (*work)(void *_Nullable context, size_t iteration));

/// "" for a queue without one. DISPATCH_CURRENT_QUEUE_LABEL asks for the queue that the caller is running on.
DISPATCH_EXPORT const char *dispatch_queue_get_label(dispatch_queue_t _Nullable queue);
/// The key is compared by address. The destructor runs, on the default global queue, when the value is replaced or the
/// queue is gone.
DISPATCH_EXPORT void dispatch_queue_set_specific(dispatch_queue_t queue, const void *key, void *_Nullable context,
                                                 dispatch_function_t _Nullable destructor);
DISPATCH_EXPORT void *_Nullable dispatch_queue_get_specific(dispatch_queue_t queue, const void *key);
/// From the queue that the caller is running on, or the nearest of its targets that has the key.
DISPATCH_EXPORT void *_Nullable dispatch_get_specific(const void *key);

/// Aborts with a message unless (or, _not, if) the caller is running on this queue or on one that targets it.
DISPATCH_EXPORT void dispatch_assert_queue(dispatch_queue_t queue);
DISPATCH_EXPORT void dispatch_assert_queue_barrier(dispatch_queue_t queue);
DISPATCH_EXPORT void dispatch_assert_queue_not(dispatch_queue_t queue);

DISPATCH_ASSUME_NONNULL_END

#endif
