// SPDX-License-Identifier: Apache-2.0
#import "ownership.h"
#import <stdatomic.h>

static _Atomic(uint64_t) live_handles;

#ifdef APPLEVZ_DEBUG

static _Atomic(uint64_t) errors_handed_over;
static _Atomic(uint64_t) errors_destroyed;

/// What a debug build hands over in place of each error: a copy whose end is seen. The reference that leaves is the
/// only one to it, so a release too few shows as a difference between the two counts, and one too many as a count that
/// passes the other, or as a crash.
@interface AppleVZCountedError : NSError
@end

@implementation AppleVZCountedError
- (void)dealloc {
    atomic_fetch_add(&errors_destroyed, 1);
}
@end

static NSError *counted(NSError *error) {
    atomic_fetch_add(&errors_handed_over, 1);
    return [[AppleVZCountedError alloc] initWithDomain:error.domain code:error.code userInfo:error.userInfo];
}

bool applevz_debug_error_counts(uint64_t *handed_over, uint64_t *destroyed) {
    *handed_over = atomic_load(&errors_handed_over);
    *destroyed = atomic_load(&errors_destroyed);
    return true;
}

#else

static NSError *counted(NSError *error) {
    return error;
}

bool applevz_debug_error_counts(uint64_t *handed_over, uint64_t *destroyed) {
    *handed_over = 0;
    *destroyed = 0;
    return false;
}

#endif

CFErrorRef applevz_hand_over_error(NSError *error) {
    if (error == nil)
        return NULL;
    return (__bridge_retained CFErrorRef)counted(error);
}

void *applevz_hand_over_handle(id object) {
    atomic_fetch_add(&live_handles, 1);
    return (__bridge_retained void *)object;
}

id applevz_take_back_handle(void *handle) {
    atomic_fetch_sub(&live_handles, 1);
    return (__bridge_transfer id)handle;
}

uint64_t applevz_debug_live_handles(void) {
    return atomic_load(&live_handles);
}
