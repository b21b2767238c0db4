// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_OBJECT_H
#define DISPATCH_OBJECT_H

#include <dispatch/base.h>
#import <Foundation/NSObject.h>

/// Dispatch objects are Objective-C objects: ARC retains and releases them, collections hold them.
@protocol OS_dispatch_object <NSObject>
@end
typedef NSObject<OS_dispatch_object> *dispatch_object_t;

#define DISPATCH_DECL_SUBCLASS(name, base)                                                                             \
    @protocol OS_                                                                                                      \
    ##name<OS_##base> @end                                                                                             \
    typedef NSObject<OS_##name> *name##_t
#define DISPATCH_DECL(name) DISPATCH_DECL_SUBCLASS(name, dispatch_object)

DISPATCH_DECL(dispatch_queue);
DISPATCH_DECL_SUBCLASS(dispatch_queue_global, dispatch_queue);
DISPATCH_DECL_SUBCLASS(dispatch_queue_main, dispatch_queue);

DISPATCH_ASSUME_NONNULL_BEGIN

// Macros, so that ARC refuses them, as it does on macOS: there they are sends of -retain and -release.
#define dispatch_retain(object) ((void)[(object) retain])
#define dispatch_release(object) ([(object) release])

/// The application's own pointer. The finalizer runs on the object's target queue once the object is gone, if the
/// context is not NULL then.
DISPATCH_EXPORT void *_Nullable dispatch_get_context(dispatch_object_t object);
DISPATCH_EXPORT void dispatch_set_context(dispatch_object_t object, void *_Nullable context);
DISPATCH_EXPORT void dispatch_set_finalizer_f(dispatch_object_t object, dispatch_function_t _Nullable finalizer);

/// Queues and sources. Suspension nests, takes effect before the next work item, and must be balanced before the
/// object is released; the global and the main queue ignore it.
DISPATCH_EXPORT void dispatch_suspend(dispatch_object_t object);
DISPATCH_EXPORT void dispatch_resume(dispatch_object_t object);
DISPATCH_EXPORT void dispatch_activate(dispatch_object_t object);

/// NULL is the default global queue. On a queue with work, this takes its turn as a barrier.
DISPATCH_EXPORT void dispatch_set_target_queue(dispatch_object_t object, dispatch_queue_t _Nullable queue);

DISPATCH_ASSUME_NONNULL_END

#endif
