// SPDX-License-Identifier: Apache-2.0
#include <dispatch/dispatch.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/// What there is to a block that was created here. The block captures it, and nothing else.
@interface DispatchBlockState : NSObject
- (instancetype)initWithBlock:(dispatch_block_t)block;
- (void)perform;
@end

@implementation DispatchBlockState {
  @public
    dispatch_block_t block;
    dispatch_group_t group; // empty once the block has run
    atomic_uint performed;
    atomic_bool cancelled;
    atomic_bool waited;
}

- (instancetype)initWithBlock:(dispatch_block_t)theBlock {
    self = [super init];
    if (self) {
        block = [theBlock copy];
        group = dispatch_group_create();
        dispatch_group_enter(group);
    }
    return self;
}

- (void)dealloc {
    if (atomic_load(&performed) == 0)
        dispatch_group_leave(group);
}

static _Noreturn void fail(const char *function, const char *reason) {
    fprintf(stderr, "%s: %s\n", function, reason);
    abort();
}

- (void)perform {
    if (!atomic_load(&cancelled))
        block();
    unsigned int before = atomic_fetch_add(&performed, 1);
    if (before == 0)
        dispatch_group_leave(group);
    else if (atomic_load(&waited))
        fail("dispatch_block_wait", "a block object may not be run more than once and waited for");
}

@end

// The beginning of every block that a function below makes, after clang's "Block Implementation Specification".
struct literal {
    void *isa;
    int flags;
    int reserved;
    void (*invoke)(void);
    void *descriptor;
    __unsafe_unretained DispatchBlockState *state;
};

static dispatch_block_t made(DispatchBlockState *state) {
    return ^{
        [state perform];
    };
}

/// A block is known by its code.
static DispatchBlockState *state_of(dispatch_block_t block, const char *function) {
    static void (*code)(void);
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        dispatch_block_t example = made(nil);
        code = ((__bridge struct literal *)example)->invoke;
    });
    struct literal *literal = (__bridge struct literal *)block;
    if (!literal || literal->invoke != code)
        fail(function, "the block was not made by dispatch_block_create");
    return literal->state;
}

static bool known_flags(dispatch_block_flags_t flags) {
    return (flags & ~(dispatch_block_flags_t)0x3f) == 0;
}

dispatch_block_t dispatch_block_create(dispatch_block_flags_t flags, dispatch_block_t block) {
    if (!known_flags(flags))
        return NULL;
    return made([[DispatchBlockState alloc] initWithBlock:block]);
}

dispatch_block_t dispatch_block_create_with_qos_class(dispatch_block_flags_t flags, dispatch_qos_class_t qos_class,
                                                      int relative_priority, dispatch_block_t block) {
    switch (qos_class) {
    case QOS_CLASS_USER_INTERACTIVE:
    case QOS_CLASS_USER_INITIATED:
    case QOS_CLASS_DEFAULT:
    case QOS_CLASS_UTILITY:
    case QOS_CLASS_BACKGROUND:
    case QOS_CLASS_UNSPECIFIED:
        break;
    default:
        return NULL;
    }
    if (relative_priority > 0 || relative_priority < QOS_MIN_RELATIVE_PRIORITY)
        return NULL;
    return dispatch_block_create(flags, block);
}

void dispatch_block_perform(dispatch_block_flags_t flags, dispatch_block_t block) {
    if (!known_flags(flags))
        fail(__func__, "unknown flags");
    block();
}

intptr_t dispatch_block_wait(dispatch_block_t block, dispatch_time_t timeout) {
    DispatchBlockState *state = state_of(block, __func__);
    if (atomic_exchange(&state->waited, true))
        fail(__func__, "a block object may not be waited for more than once");
    intptr_t late = dispatch_group_wait(state->group, timeout);
    if (late)
        // Who gave up may try again.
        atomic_store(&state->waited, false);
    else if (atomic_load(&state->performed) > 1)
        fail(__func__, "a block object may not be run more than once and waited for");
    return late;
}

void dispatch_block_notify(dispatch_block_t block, dispatch_queue_t queue, dispatch_block_t notification_block) {
    DispatchBlockState *state = state_of(block, __func__);
    if (atomic_load(&state->performed) > 1)
        fail(__func__, "a block object may not be run more than once and observed");
    dispatch_group_notify(state->group, queue, notification_block);
}

void dispatch_block_cancel(dispatch_block_t block) {
    atomic_store(&state_of(block, __func__)->cancelled, true);
}

intptr_t dispatch_block_testcancel(dispatch_block_t block) {
    return atomic_load(&state_of(block, __func__)->cancelled);
}
