// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"
#import "applevz_guest_reports.h"
#import "QEMU/program/VZVirtualMachine+Host.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import <stdlib.h>
#import <dispatch/poller.h>
#import <json_values.h>
#import <shown_text.h>

typedef void (^Completion)(NSError *_Nullable error);

// Others may need the room: no longer than the restoring of a machine takes.
enum { FORMER_MEMORY_MILLISECONDS = 100 };

static NSString *name_of_state(VZVirtualMachineState state) {
    static NSString *const names[] = {@"stopped", @"running",  @"paused",   @"error",  @"starting",
                                      @"pausing", @"resuming", @"stopping", @"saving", @"restoring"};
    return names[state];
}

// In the words of Apple's framework, by which programs know these errors.
NSError *VZInvalidStateError(VZVirtualMachineState state, NSString *purpose, NSString *suggestion) {
    NSString *reason =
        [NSString stringWithFormat:@"Virtual machine state \"%@\" is invalid for %@.", name_of_state(state), purpose];
    return VZErrorWithReason(VZErrorInvalidVirtualMachineState, nil, reason, suggestion, nil);
}

/// GNUstep sets up the tables of key-value observing at their first use, and lets a second thread in before they are
/// there (its log then tells of a "Null table"). Machines on queues of their own are observed by several threads at
/// once.
static void set_up_observing(void) {
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        NSObject *object = [[NSObject alloc] init];
        [object addObserver:object forKeyPath:@"description" options:0 context:NULL];
        [object removeObserver:object forKeyPath:@"description"];
    });
}

@implementation VZVirtualMachine {
    VZVirtualMachineState _state;
    Completion _verbCompletion; // of the verb that made the state a transitional one
    VZVirtualMachineState _stateBeforeStart;
    NSString *_shutdownReason; // what QEMU said when the guest turned itself off, or somebody QEMU
    BOOL _guestStopped;
    BOOL _isAskingWhy; // QEMU has still to say why it stopped the processors
}

// In VZVirtualMachine+Devices.m.
@dynamic consoleDevices, directorySharingDevices, graphicsDevices, memoryBalloonDevices, networkDevices, socketDevices,
    usbControllers;

#pragma mark Making

static void raise_without_thread(int number) {
    NSError *error = VZErrorWithReason(
        VZErrorInternal, @"The virtual machine could not be made.",
        [NSString
            stringWithFormat:@"There is no thread for it, or no file descriptors: %@.", VZSystemCallErrorText(number)],
        @"End threads and processes that are no longer needed, or raise this user's limit of them (RLIMIT_NPROC).",
        VZSystemCallError(number, nil));
    @throw [NSException exceptionWithName:NSGenericException
                                   reason:error.localizedFailureReason
                                 userInfo:@{NSUnderlyingErrorKey : error}];
}

+ (BOOL)isSupported {
    return [self applevzUnsupportedError] == nil;
}

- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration {
    return [self initWithConfiguration:configuration queue:dispatch_get_main_queue()];
}

- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration queue:(dispatch_queue_t)queue {
    NSError *error = nil;
    if (![configuration validateWithError:&error])
        [NSException raise:NSInvalidArgumentException
                    format:@"Invalid virtual machine configuration. %@", error.localizedFailureReason];
    // What everything else of a machine is done by. Later there is nobody whom its lack could be told.
    int number = dispatch_poller_start();
    if (number != 0 && number != ECANCELED)
        raise_without_thread(number);
    set_up_observing();
    self = [super init];
    if (self == nil)
        return nil;
    _configuration = [configuration copy];
    _queue = queue;
    _devices = [self devicesOfConfiguration];
    return self;
}

- (void)dealloc {
    [_instance endNow];
    [_kernel linger];
    Completion completion = _verbCompletion;
    if (completion != nil)
        dispatch_async(_queue, ^{
            completion(VZErrorWithReason(VZErrorOperationCancelled, nil,
                                         @"The virtual machine was released while it was under way.", nil, nil));
        });
}

/// Newer systems of Apple's end the process for a call off the machine's queue. So does a debug build, and any where
/// the environment variable APPLEVZ_CHECK_QUEUE is set to something, for whoever wants to find these here.
- (void)checkQueue {
#ifdef APPLEVZ_DEBUG
    dispatch_assert_queue(_queue);
#else
    static dispatch_once_t once;
    static BOOL checks;
    dispatch_once(&once, ^{
        const char *value = getenv("APPLEVZ_CHECK_QUEUE");
        checks = value != NULL && value[0] != 0;
    });
    if (checks)
        dispatch_assert_queue(_queue);
#endif
}

#pragma mark State

+ (BOOL)automaticallyNotifiesObserversForKey:(NSString *)key {
    return ![key isEqualToString:@"state"] && [super automaticallyNotifiesObserversForKey:key];
}

- (VZVirtualMachineState)state {
    [self checkQueue];
    return _state;
}

- (void)enterState:(VZVirtualMachineState)state {
    if (state == _state)
        return;
    // What depends on the state, by name: GNUstep 1.28 tells nobody of the keys of
    // +keyPathsForValuesAffectingValueForKey:.
    NSArray<NSString *> *keys = @[ @"state", @"canStart", @"canStop", @"canPause", @"canResume", @"canRequestStop" ];
    for (NSString *key in keys)
        [self willChangeValueForKey:key];
    _state = state;
    for (NSString *key in keys.reverseObjectEnumerator)
        [self didChangeValueForKey:key];
}

- (BOOL)canStart {
    return self.state == VZVirtualMachineStateStopped || self.state == VZVirtualMachineStateError;
}

- (BOOL)canStop {
    return self.state == VZVirtualMachineStateRunning || self.state == VZVirtualMachineStatePaused;
}

- (BOOL)canPause {
    return self.state == VZVirtualMachineStateRunning;
}

- (BOOL)canResume {
    return self.state == VZVirtualMachineStatePaused && !_isHandedOver;
}

- (BOOL)canRequestStop {
    return self.state == VZVirtualMachineStateRunning;
}

#pragma mark Verbs

- (BOOL)begin:(NSString *)verb
       allowed:(BOOL)allowed
          from:(NSString *)states
         state:(VZVirtualMachineState)state
    completion:(Completion)completion {
    if (!allowed) {
        NSError *error = VZErrorWithReason(
            VZErrorInvalidVirtualMachineStateTransition, nil,
            [NSString stringWithFormat:@"Transition from state \"%@\" to state \"%@\" is invalid.",
                                       name_of_state(_state), name_of_state(state)],
            [NSString stringWithFormat:@"A virtual machine can %@ when it is %@.", verb, states], nil);
        dispatch_async(_queue, ^{
            completion(error);
        });
        return NO;
    }
    _verbCompletion = completion;
    [self enterState:state];
    return YES;
}

- (void)doOffQueue:(BOOL (^)(NSError **error))action completion:(Completion)completion {
    dispatch_queue_t queue = _queue;
    dispatch_async(dispatch_get_global_queue(QOS_CLASS_USER_INITIATED, 0), ^{
        NSError *error = nil;
        BOOL done;
        @autoreleasepool {
            // What is in a file that somebody else wrote fails this action, rather than end the process.
            @try {
                done = action(&error);
            } @catch (NSException *exception) {
                done = NO;
                error = VZErrorWithReason(VZErrorInternal, @"The virtual machine's files could not be dealt with.",
                                          [NSString stringWithFormat:@"%@: %@.", exception.name,
                                                                     applevz_shown_words(exception.reason ?: @"")],
                                          nil, nil);
            }
        }
        NSError *failure = done ? nil : error;
        dispatch_async(queue, ^{
            completion(failure);
        });
    });
}

- (void)finishInState:(VZVirtualMachineState)state error:(NSError *)error {
    [self finishInState:state error:error telling:nil];
}

/// Whoever hears of it finds the state that it is about: observers hear first, the delegate then, and last whoever
/// called the verb that was under way. Each of them may begin the next verb.
- (void)finishInState:(VZVirtualMachineState)state
                error:(NSError *)error
              telling:(void (^)(id<VZVirtualMachineDelegate> delegate))tell {
    Completion completion = _verbCompletion;
    _verbCompletion = nil;
    [self enterState:state];
    id<VZVirtualMachineDelegate> delegate = self.delegate;
    if (tell != nil && delegate != nil)
        tell(delegate);
    if (completion != nil)
        completion(error);
}

- (void)startWithCompletionHandler:(void (^)(NSError *))completionHandler {
    [self checkQueue];
    VZVirtualMachineState before = _state;
    if (![self begin:@"start"
               allowed:self.canStart
                  from:@"stopped or in error"
                 state:VZVirtualMachineStateStarting
            completion:completionHandler])
        return;
    _stateBeforeStart = before;
    // What follows may fail at once, and is then no part of this call any more.
    __weak VZVirtualMachine *weak_self = self;
    dispatch_async(_queue, ^{
        [weak_self start];
    });
}

- (void)startWithOptions:(VZVirtualMachineStartOptions *)options
       completionHandler:(void (^)(NSError *))completionHandler {
    (void)options;
    [self startWithCompletionHandler:completionHandler];
}

- (void)start {
    __weak VZVirtualMachine *weak_self = self;
    VZVirtualMachineConfiguration *configuration = _configuration;
    // Again: what was there when the machine was made may have gone, and QEMU would say so in its own words.
    [self
        doOffQueue:^(NSError **error) {
            return [configuration validateWithError:error];
        }
        completion:^(NSError *error) {
            VZVirtualMachine *strong_self = weak_self;
            if (strong_self == nil)
                return;
            if (error != nil) {
                [strong_self launchedWithError:error];
                return;
            }
            [QEMUExpandedKernel kernelOfConfiguration:configuration
                                                queue:strong_self->_queue
                                           completion:^(QEMUExpandedKernel *kernel) {
                                               [weak_self startWithKernel:kernel];
                                           }];
        }];
}

- (void)startWithKernel:(QEMUExpandedKernel *)kernel {
    _kernel = kernel;
    __weak VZVirtualMachine *weak_self = self;
    Completion completion = ^(NSError *error) {
        [weak_self launchedWithError:error];
    };
    [self makeCommandLine:kernel
               savedState:nil
               completion:^(QEMUCommandLine *commandLine, NSError *error) {
                   if (commandLine != nil)
                       [weak_self startInstance:commandLine completion:completion];
                   else
                       completion(error);
               }];
}

- (void)makeCommandLine:(QEMUExpandedKernel *)kernel
             savedState:(QEMUSavedState *)state
             completion:(void (^)(QEMUCommandLine *, NSError *))completion {
    __block QEMUCommandLine *commandLine = nil;
    VZVirtualMachineConfiguration *configuration = _configuration;
    __weak VZVirtualMachine *weak_self = self;
    [self
        doOffQueue:^(NSError **error) {
            // A file that is opened may be emptied by it, and whoever let go of the machine has a right to that not
            // being so.
            if (weak_self == nil)
                return NO;
            commandLine = [[QEMUCommandLine alloc] initWithConfiguration:configuration
                                                                  kernel:kernel
                                                              savedState:state
                                                                   error:error];
            return (BOOL)(commandLine != nil);
        }
        completion:^(NSError *error) {
            completion(commandLine, error);
        }];
}

- (void)startInstance:(QEMUCommandLine *)commandLine completion:(Completion)completion {
    _guestStopped = NO;
    _shutdownReason = nil;
    _fullDisks = [NSMutableSet set];
    _instance = [[QEMUInstance alloc] initWithCommandLine:commandLine queue:_queue];
    for (id<VZRuntimeDevice> device in _devices)
        if ([device respondsToSelector:@selector(instanceBegins:)])
            [device instanceBegins:_instance];
    __weak VZVirtualMachine *weak_self = self;
    _instance.eventHandler = ^(NSString *name, NSDictionary *data) {
        [weak_self takeEvent:name data:data];
    };
    _instance.endHandler = ^(QEMUEnd *end) {
        [weak_self instanceEnded:end];
    };
    [_instance launchWithCompletion:^(NSError *failure) {
        VZVirtualMachine *strong_self = weak_self;
        if (strong_self == nil)
            return;
        strong_self->_confinement = failure == nil ? strong_self->_instance.confinement : 0;
        if (failure != nil)
            [strong_self leaveInstance];
        completion(failure);
    }];
}

- (void)tellDevices:(SEL)message {
    for (id<VZRuntimeDevice> device in _devices)
        if ([device respondsToSelector:message])
            ((void (*)(id, SEL))(void (*)(void))[(NSObject *)device methodForSelector:message])(device, message);
}

- (void)tellDevicesOfInstance {
    for (id<VZRuntimeDevice> device in _devices)
        if ([device respondsToSelector:@selector(instanceReady:)])
            [device instanceReady:_instance];
}

- (void)leaveInstance {
    [_instance.commandLine leaveCharacterBackends];
    _instance = nil;
    _exchange = nil;
    _lastState = nil;
    [self tellDevices:@selector(instanceEnded)];
}

- (void)launchedWithError:(NSError *)error {
    if (error != nil) {
        [self finishInState:_stateBeforeStart error:error];
        return;
    }
    [self tellDevicesOfInstance];
    [self execute:@"cont" to:VZVirtualMachineStateRunning orBackTo:_stateBeforeStart];
}

/// Has QEMU do it, and ends the verb with its answer.
- (void)execute:(NSString *)command to:(VZVirtualMachineState)state orBackTo:(VZVirtualMachineState)before {
    __weak VZVirtualMachine *weak_self = self;
    [_instance execute:command
             arguments:nil
            completion:^(id result, NSError *error) {
                (void)result;
                VZVirtualMachine *strong_self = weak_self;
                // Where the process has ended, or will for its silence, instanceEnded: has the last word.
                if (strong_self == nil || (error != nil && !strong_self->_instance.isAnswering))
                    return;
                // A machine that cannot begin to run is none: its process ends, and instanceEnded: tells why.
                if (error != nil && strong_self->_state == VZVirtualMachineStateStarting)
                    [strong_self->_instance giveUpWithError:error];
                else
                    [strong_self answeredInState:error == nil ? state : before error:error];
            }];
}

/// Whatever comes next, the devices are told before.
- (void)answeredInState:(VZVirtualMachineState)state error:(NSError *)error {
    if (state == VZVirtualMachineStateRunning)
        [self tellDevices:@selector(instanceRuns)];
    [self finishInState:state error:error];
}

- (void)pauseWithCompletionHandler:(void (^)(NSError *))completionHandler {
    [self checkQueue];
    if (![self begin:@"pause"
               allowed:self.canPause
                  from:@"running"
                 state:VZVirtualMachineStatePausing
            completion:completionHandler])
        return;
    [self tellDevices:@selector(instanceWillPause)];
    [self execute:@"stop" to:VZVirtualMachineStatePaused orBackTo:VZVirtualMachineStateRunning];
}

- (void)resumeWithCompletionHandler:(void (^)(NSError *))completionHandler {
    [self checkQueue];
    if (![self begin:@"resume"
               allowed:self.canResume
                  from:@"paused, and its memory not part of a saved state"
                 state:VZVirtualMachineStateResuming
            completion:completionHandler])
        return;
    // It is the state of a machine that has not run since.
    _stream = nil;
    [self execute:@"cont" to:VZVirtualMachineStateRunning orBackTo:VZVirtualMachineStatePaused];
}

- (void)stopWithCompletionHandler:(void (^)(NSError *))completionHandler {
    [self checkQueue];
    // What the guest has not synced is lost either way, and a killed process cannot hang: what QEMU wrote is the
    // host's.
    if ([self begin:@"stop"
               allowed:self.canStop
                  from:@"running or paused"
                 state:VZVirtualMachineStateStopping
            completion:completionHandler])
        [_instance kill];
}

- (BOOL)requestStopWithError:(NSError **)error {
    [self checkQueue];
    if (!self.canRequestStop)
        return VZRefuse(error, VZInvalidStateError(_state, @"requesting a stop",
                                                   @"A guest can be asked to stop when it is running."));
    [_instance execute:@"system_powerdown"
             arguments:nil
            completion:^(id result, NSError *refusal) {
                (void)result;
                (void)refusal; // the button was pressed or QEMU is at its end; a guest's answer is its turning off
            }];
    return YES;
}

#pragma mark What happens by itself

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data {
    if ([name isEqualToString:@"SHUTDOWN"]) {
        _guestStopped = applevz_json_is_true(data, @"guest");
        NSString *reason = applevz_json_text(data, @"reason");
        _shutdownReason = reason != nil ? applevz_shown_words(reason) : @"no reason";
        if (_guestStopped && [reason isEqualToString:@"guest-reset"])
            [self tellGuestReport:@selector(applevzGuestDidResetInVirtualMachine:)];
    } else if ([name isEqualToString:@"GUEST_PANICKED"]) {
        [self tellGuestReport:@selector(applevzGuestDidPanicInVirtualMachine:)];
    } else if ([name isEqualToString:@"RESET"] && applevz_json_is_true(data, @"guest")) {
        [self tellGuestReport:@selector(applevzGuestDidResetInVirtualMachine:)];
    } else if ([name isEqualToString:@"BLOCK_IO_ERROR"]) {
        [self takeBlockError:data];
    } else if ([name isEqualToString:@"STOP"] && _state == VZVirtualMachineStateRunning && _shutdownReason == nil) {
        [self askWhyItStopped];
    }
    [_exchange takeEvent:name data:data];
    for (id<VZRuntimeDevice> device in _devices)
        if ([device respondsToSelector:@selector(takeEvent:data:)])
            [device takeEvent:name data:data];
}

/// What Apple's delegates know nothing of.
- (void)tellGuestReport:(SEL)report {
    id<AppleVZGuestReports> delegate = (id<AppleVZGuestReports>)self.delegate;
    if (![delegate respondsToSelector:report])
        return;
    if (report == @selector(applevzGuestDidPanicInVirtualMachine:))
        [delegate applevzGuestDidPanicInVirtualMachine:self];
    else
        [delegate applevzGuestDidResetInVirtualMachine:self];
}

/// QEMU stops a machine's processors by itself when it cannot go on with them, as after an internal error of KVM.
/// Nothing will let them run again.
- (void)askWhyItStopped {
    // Once, however often it says so.
    if (_isAskingWhy)
        return;
    _isAskingWhy = YES;
    __weak VZVirtualMachine *weak_self = self;
    [_instance execute:@"query-status"
             arguments:nil
            completion:^(id result, NSError *error) {
                VZVirtualMachine *strong_self = weak_self;
                if (strong_self != nil)
                    strong_self->_isAskingWhy = NO;
                NSString *status = applevz_json_text(result, @"status");
                // By now it may have been resumed, or paused by a verb.
                if (error != nil || strong_self == nil || strong_self->_state != VZVirtualMachineStateRunning ||
                    [status isEqualToString:@"running"] || strong_self->_shutdownReason != nil)
                    return;
                [strong_self->_instance
                    giveUpWithError:VZErrorWithReason(
                                        VZErrorInternal, nil,
                                        [NSString stringWithFormat:@"QEMU stopped its processors (%@).",
                                                                   applevz_shown_words(status ?: @"no reason")],
                                        nil, nil)];
            }];
}

/// A machine is often stopped to be restored at once. What it has for memory then, nobody but that QEMU had.
- (void)keepMemoryOf:(QEMUCommandLine *)commandLine {
    if (!commandLine.memory.isMemory || commandLine.fileServers.count > 0)
        return;
    _formerMemory = commandLine.memory;
    __weak HostDescriptor *weak_memory = _formerMemory;
    __weak VZVirtualMachine *weak_self = self;
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, FORMER_MEMORY_MILLISECONDS * (int64_t)NSEC_PER_MSEC), _queue, ^{
        VZVirtualMachine *strong_self = weak_self;
        if (strong_self != nil && strong_self->_formerMemory == weak_memory)
            strong_self->_formerMemory = nil;
    });
}

- (void)instanceEnded:(QEMUEnd *)end {
    QEMUCommandLine *commandLine = _instance.commandLine;
    [self leaveInstance];
    _stream = nil;
    _isHandedOver = NO;
    if (_state == VZVirtualMachineStateStopping) {
        [self keepMemoryOf:commandLine];
        [self finishInState:VZVirtualMachineStateStopped error:nil];
        return;
    }
    if (_guestStopped && end.isClean) {
        [self finishInState:VZVirtualMachineStateStopped
                      error:VZErrorWithReason(VZErrorOperationCancelled, nil,
                                              @"The guest turned the virtual machine off while it was under way.", nil,
                                              nil)
                    telling:^(id<VZVirtualMachineDelegate> delegate) {
                        if ([delegate respondsToSelector:@selector(guestDidStopVirtualMachine:)])
                            [delegate guestDidStopVirtualMachine:self];
                    }];
        return;
    }
    if (_state == VZVirtualMachineStateStarting) {
        [self finishInState:_stateBeforeStart error:[end startError]];
        return;
    }
    if (_state == VZVirtualMachineStateRestoring) {
        [self restoringEnded:end];
        return;
    }
    NSError *error = [end stopError];
    if (end.isClean && _shutdownReason != nil)
        error = VZErrorWithReason(
            VZErrorInternal, QEMUStopFailure,
            [NSString stringWithFormat:@"QEMU was told to end from outside (%@).", _shutdownReason], nil, nil);
    [self finishInState:VZVirtualMachineStateError
                  error:error
                telling:^(id<VZVirtualMachineDelegate> delegate) {
                    if ([delegate respondsToSelector:@selector(virtualMachine:didStopWithError:)])
                        [delegate virtualMachine:self didStopWithError:error];
                }];
}

@end
