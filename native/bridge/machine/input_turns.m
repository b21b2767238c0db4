// SPDX-License-Identifier: Apache-2.0
#import "input_turns.h"
#import "applevz_extensions.h"
#import "waiting/dispatching.h"
#import "boundary/errors.h"
#import "boundary/guard.h"

/// One caller's events.
@interface AppleVZInputTurn : NSObject
@property (weak) VZVirtualMachine *machine;
@property NSData *events;
@property size_t sent;
@property double interval;
@property (copy) void (^completion)(NSError *_Nullable error);
@end

@implementation AppleVZInputTurn
@end

@implementation AppleVZInputTurns {
    dispatch_queue_t _queue;
    NSMutableArray<AppleVZInputTurn *> *_turns; // the first is under way
}

- (instancetype)initWithQueue:(dispatch_queue_t)queue {
    self = [super init];
    if (self != nil) {
        _queue = queue;
        _turns = [NSMutableArray array];
    }
    return self;
}

- (void)sendEvents:(NSData *)events
          interval:(double)interval
                to:(VZVirtualMachine *)machine
        completion:(void (^)(NSError *_Nullable error))completion {
    AppleVZInputTurn *turn = [[AppleVZInputTurn alloc] init];
    turn.machine = machine;
    turn.events = events;
    turn.interval = interval;
    turn.completion = completion;
    [_turns addObject:turn];
    if (_turns.count == 1)
        [self sendNext];
}

- (void)finishWithError:(NSError *)error {
    AppleVZInputTurn *turn = _turns[0];
    [_turns removeObjectAtIndex:0];
    turn.completion(error);
    if (_turns.count > 0)
        [self sendNext];
}

- (void)sendNext {
    AppleVZInputTurn *turn = _turns[0];
    id<AppleVZInput> machine = (id<AppleVZInput>)turn.machine;
    if (machine == nil) {
        [self finishWithError:applevz_error(VZErrorDomain, VZErrorOperationCancelled, @"The operation was cancelled.",
                                            @"The virtual machine was let go of.", nil)];
        return;
    }
    if (turn.sent == turn.events.length / sizeof(applevz_input_event)) {
        [self finishWithError:nil];
        return;
    }
    applevz_input_event event = ((const applevz_input_event *)turn.events.bytes)[turn.sent++];
    // The framework calls the block once, and these objects stay until it does; or it raises, which is as good as an
    // answer.
    __block BOOL answered = NO;
    void (^sent)(NSError *_Nullable) = ^(NSError *_Nullable error) {
        if (answered)
            return;
        answered = YES;
        if (error != nil)
            [self finishWithError:error];
        else
            applevz_queue_after(
                self->_queue, turn.interval,
                ^{
                    [self sendNext];
                },
                ^(NSError *raised) {
                    (void)raised; // none of it calls the framework but send:to:sent:
                });
    };
    NSError *raised = applevz_error_raised_by(^{
        [self send:event to:machine sent:sent];
    });
    if (raised != nil)
        sent(raised);
}

- (void)send:(applevz_input_event)event to:(id<AppleVZInput>)machine sent:(void (^)(NSError *_Nullable error))sent {
    switch (event.kind) {
    case APPLEVZ_INPUT_KIND_KEY_DOWN:
    case APPLEVZ_INPUT_KIND_KEY_UP:
        [machine applevzSendKey:(NSUInteger)event.code
                           down:event.kind == APPLEVZ_INPUT_KIND_KEY_DOWN
              completionHandler:sent];
        break;
    case APPLEVZ_INPUT_KIND_BUTTON_DOWN:
    case APPLEVZ_INPUT_KIND_BUTTON_UP:
        [machine applevzSendPointerButton:(NSUInteger)event.code
                                     down:event.kind == APPLEVZ_INPUT_KIND_BUTTON_DOWN
                        completionHandler:sent];
        break;
    case APPLEVZ_INPUT_KIND_POINTER_MOVED:
        [machine applevzMovePointerToX:event.x y:event.y completionHandler:sent];
        break;
    case APPLEVZ_INPUT_KIND_SCROLLED_UP:
    case APPLEVZ_INPUT_KIND_SCROLLED_DOWN:
        [machine applevzScrollUp:event.kind == APPLEVZ_INPUT_KIND_SCROLLED_UP completionHandler:sent];
        break;
    }
}

@end
