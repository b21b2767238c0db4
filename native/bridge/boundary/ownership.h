// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// The only file in which an object's ownership goes to C or comes back. ARC owns everything on the Objective-C side.
// One reference leaves here. The caller holds it, and nothing here remembers it.

/// The error with one reference that is the caller's, to be ended with CFRelease. NULL for nil.
CFErrorRef _Nullable applevz_hand_over_error(NSError *_Nullable error) CF_RETURNS_RETAINED;

/// The object behind a handle or an error's reference, which stays the caller's. A cast, since what a function returns
/// is autoreleased: in a thread without a pool, as those are that call from C, for ever.
#define applevz_borrowed(type, reference) ((__bridge type *)(reference))

/// A handle that holds one reference to the object.
void *applevz_hand_over_handle(id object);

/// Takes back the reference that the handle held; the handle is dead from here on. Call it in a pool.
id applevz_take_back_handle(void *handle);

NS_ASSUME_NONNULL_END
