// SPDX-License-Identifier: Apache-2.0
#import "panics.h"
#import <stdatomic.h>

@implementation AppleVZPanics {
    _Atomic(uint64_t) _count;
    BOOL _resetsAreTold;
    BOOL _panicked;         // the present guest, as far as it was told
    uint64_t _notOnConsole; // those that a device told, and no console has shown yet
}

- (instancetype)initWithResetsTold:(BOOL)told {
    self = [super init];
    if (self != nil)
        _resetsAreTold = told;
    return self;
}

- (uint64_t)count {
    return atomic_load_explicit(&_count, memory_order_relaxed);
}

- (void)beginGuest {
    _panicked = NO;
    atomic_fetch_and_explicit(&_count, ~UINT64_C(1), memory_order_relaxed);
}

- (void)add {
    _panicked = YES;
    atomic_fetch_add_explicit(&_count, 2, memory_order_relaxed);
}

- (BOOL)isNewsFromDevice {
    // It does nothing more, or says so by its reset.
    [self staysPanicked];
    if (_panicked)
        return NO;
    _notOnConsole++;
    [self add];
    return YES;
}

- (BOOL)isNewsFromConsole:(BOOL)anew {
    if (_notOnConsole > 0) {
        _notOnConsole--;
        return NO;
    }
    // Where resets are told, each guest panics once. Elsewhere another one has to have panicked on the same console.
    if (_panicked && (_resetsAreTold || !anew))
        return NO;
    [self add];
    return YES;
}

- (void)staysPanicked {
    atomic_fetch_or_explicit(&_count, 1, memory_order_relaxed);
}

@end
