// SPDX-License-Identifier: Apache-2.0
#import "QEMU/saved_states/QEMUFingerprint.h"
#import "QEMU/saved_states/QEMUMigration.h"
#import "QEMU/saved_states/QEMUSavedState.h"
#import "QEMU/saved_states/QEMUSavedStateFit.h"
#import "QEMU/saved_states/QEMUSavedStateInspection.h"
#import "QEMU/saved_states/QEMUStateDescription.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "configuration/storage/VZNamedStorageDeviceAttachment+Private.h"
#import "VZVirtualMachine+Private.h"

typedef void (^Completion)(NSError *_Nullable error);

@implementation VZVirtualMachine (SaveRestore)

+ (id<AppleVZSavedState>)applevzSavedStateAtURL:(NSURL *)url isState:(BOOL *)isState error:(NSError **)error {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    *isState = YES;
    if (path != nil)
        return [[QEMUSavedStateInspection alloc] initWithPath:path isState:isState error:error];
    VZRefuse(error, VZErrorWithReason(VZErrorRestore, @"The saved state could not be read.",
                                      [NSString stringWithFormat:@"The URL %@.", reason], nil, nil));
    return nil;
}

#pragma mark Saving

- (void)saveMachineStateToURL:(NSURL *)saveFileURL completionHandler:(void (^)(NSError *))completionHandler {
    [self applevzSaveMachineStateToURL:saveFileURL
                           overwriting:NO
                     handingOverMemory:NO
                     completionHandler:completionHandler];
}

- (void)applevzSaveMachineStateToURL:(NSURL *)saveFileURL
                         overwriting:(BOOL)overwriting
                   handingOverMemory:(BOOL)handingOver
                   completionHandler:(void (^)(NSError *))completionHandler {
    [self checkQueue];
    BOOL exchanges = _exchange.isUnderWay;
    if (self.state != VZVirtualMachineStatePaused || _isHandedOver || exchanges) {
        // A card that is half taken out would be so in what is saved, and nobody would put another in.
        NSError *error;
        if (_isHandedOver)
            error =
                VZErrorWithReason(VZErrorInvalidVirtualMachineState, nil,
                                  @"The virtual machine is saved, and its memory with it.", @"It can be stopped.", nil);
        else if (exchanges)
            error = VZErrorWithReason(
                VZErrorInvalidVirtualMachineState, nil,
                @"The virtual machine is about to have its network cards exchanged.",
                @"It can be saved when it is paused, once its guest has run and let the old cards go.", nil);
        else
            error = VZInvalidStateError(self.state, @"saving", @"It can be saved when it is paused.");
        dispatch_async(self.queue, ^{
            completionHandler(error);
        });
        return;
    }
    NSError *unsaveable = _configuration.saveError;
    NSString *reason = unsaveable != nil ? unsaveable.localizedFailureReason : self.reasonAgainstSavingDevices;
    if (reason != nil) {
        NSString *suggestion = unsaveable != nil
                                   ? unsaveable.localizedRecoverySuggestion
                                   : @"Save it with the devices of its configuration, on their ports, and no other.";
        dispatch_async(self.queue, ^{
            completionHandler(QEMUSaveError(reason, suggestion, unsaveable));
        });
        return;
    }
    [self begin:@"save" allowed:YES from:@"paused" state:VZVirtualMachineStateSaving completion:completionHandler];
    __weak VZVirtualMachine *weak_self = self;
    dispatch_async(self.queue, ^{
        [weak_self writeStateToURL:saveFileURL overwriting:overwriting handingOver:handingOver];
    });
}

- (void)writeStateToURL:(NSURL *)url overwriting:(BOOL)overwriting handingOver:(BOOL)handingOver {
    // QEMU may have ended since, and has told so.
    if (self.state != VZVirtualMachineStateSaving)
        return;
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    NSError *cause = nil;
    QEMUStateStream *stream = path != nil ? _stream ?: [[QEMUStateStream alloc] initWithError:&cause] : nil;
    if (stream == nil) {
        reason = path == nil ? [@"saveFileURL " stringByAppendingString:reason]
                             : [NSString stringWithFormat:@"There is no file for the stream from QEMU: %@",
                                                          VZSystemCallErrorText((int)cause.code)];
        [self finishInState:VZVirtualMachineStatePaused
                      error:QEMUSaveError([reason stringByAppendingString:@"."], nil, cause)];
        return;
    }
    QEMUInstance *instance = _instance;
    QEMUSavedStateWriter *writer = [[QEMUSavedStateWriter alloc] initWithPath:path
                                                                       memory:instance.commandLine.memory
                                                                   memorySize:_configuration.memorySize
                                                                  overwriting:overwriting
                                                                  handingOver:handingOver];
    // The memory is written while QEMU streams the rest.
    __block int pending = stream == _stream ? 1 : 2;
    __block NSError *first = nil;
    __weak VZVirtualMachine *weak_self = self;
    // Weak: the instance keeps what it calls when its migration is over.
    __weak QEMUInstance *weak_instance = instance;
    Completion done = ^(NSError *failure) {
        first = first ?: failure;
        VZVirtualMachine *strong_self = weak_self;
        if (--pending == 0 && [strong_self isSavingInstance:weak_instance])
            [strong_self finish:writer stream:stream handingOver:handingOver error:first];
    };
    if (stream != _stream)
        QEMUMigrationSend(instance, stream.file, instance.commandLine.memory == nil, ^(NSError *error) {
            VZVirtualMachine *strong_self = weak_self;
            if (error == nil && [strong_self isSavingInstance:weak_instance])
                strong_self->_stream = stream;
            done(error != nil ? QEMUSaveError(error.localizedFailureReason, nil, error) : nil);
        });
    [self
        doOffQueue:^(NSError **error) {
            return [writer writeMemoryWithError:error];
        }
        completion:done];
}

/// Where QEMU ended meanwhile, the verb has failed with that.
- (BOOL)isSavingInstance:(nullable QEMUInstance *)instance {
    return instance != nil && _instance == instance && self.state == VZVirtualMachineStateSaving;
}

/// The last step, or none. A file that is not to stay is gone, and its room free, before anybody hears of it.
- (void)finish:(QEMUSavedStateWriter *)writer
         stream:(QEMUStateStream *)stream
    handingOver:(BOOL)handingOver
          error:(nullable NSError *)failure {
    QEMUInstance *instance = _instance;
    NSError *cause = nil;
    NSString *identifier = failure == nil ? QEMUNewStateIdentifier(&cause) : nil;
    if (failure == nil && identifier == nil)
        failure = QEMUSaveError(@"The system gives no random numbers.", nil, cause);
    NSDictionary<NSString *, id> *description = nil;
    if (failure == nil)
        description =
            QEMUDescriptionOfState(_configuration, instance.version,
                                   QEMUFingerprint(_configuration, instance.commandLine), identifier, _lastState);
    __weak VZVirtualMachine *weak_self = self;
    [self
        doOffQueue:^(NSError **error) {
            if (failure == nil)
                return [writer finishWithStream:stream
                                          disks:instance.commandLine.carriedDisks
                                    description:description
                                          error:error];
            [writer giveUp];
            return VZRefuse(error, failure);
        }
        completion:^(NSError *error) {
            VZVirtualMachine *strong_self = weak_self;
            if (![strong_self isSavingInstance:instance])
                return; // the file may be there, and is whole then
            strong_self->_isHandedOver = handingOver && error == nil;
            if (error == nil)
                strong_self->_lastState = identifier;
            [strong_self finishInState:VZVirtualMachineStatePaused error:error];
        }];
}

#pragma mark Restoring

- (void)restoreMachineStateFromURL:(NSURL *)saveFileURL completionHandler:(void (^)(NSError *))completionHandler {
    [self restoreFromURL:saveFileURL mapped:NO completion:completionHandler];
}

- (void)applevzRestoreMachineStateByMappingURL:(NSURL *)saveFileURL
                             completionHandler:(void (^)(NSError *))completionHandler {
    [self restoreFromURL:saveFileURL mapped:YES completion:completionHandler];
}

- (void)restoreFromURL:(NSURL *)saveFileURL mapped:(BOOL)mapped completion:(Completion)completionHandler {
    [self checkQueue];
    if (![self begin:@"restore"
               allowed:self.state == VZVirtualMachineStateStopped
                  from:@"stopped"
                 state:VZVirtualMachineStateRestoring
            completion:completionHandler])
        return;
    VZVirtualMachineConfiguration *configuration = _configuration;
    // Where it is not overwritten it goes later: giving its pages back now would be in QEMU's way.
    HostDescriptor *memory = mapped ? nil : _formerMemory;
    if (memory != nil)
        _formerMemory = nil;
    __block QEMUSavedState *state = nil;
    __weak VZVirtualMachine *weak_self = self;
    [self
        doOffQueue:^(NSError **error) {
            NSString *reason = nil;
            NSString *path = VZPathOfFileURL(saveFileURL, &reason);
            if (path == nil)
                return VZRefuse(error,
                                QEMURestoreError([NSString stringWithFormat:@"saveFileURL %@.", reason], nil, nil));
            // Not by the file: a machine that cannot be made now cannot be restored.
            if ([configuration validateWithError:error])
                state = [[QEMUSavedState alloc] initWithPath:path memorySize:configuration.memorySize error:error];
            state.isMapped = mapped;
            state.formerMemory = memory;
            return (BOOL)(state != nil);
        }
        completion:^(NSError *error) {
            [weak_self expandKernelForSavedState:state error:error];
        }];
}

- (void)expandKernelForSavedState:(QEMUSavedState *)state error:(NSError *)error {
    if (error != nil) {
        [self finishInState:VZVirtualMachineStateStopped error:QEMURestoreErrorOf(error)];
        return;
    }
    if (!QEMUExpandsKernelForSavedState(state)) {
        [self makeCommandLineForSavedState:state kernel:nil];
        return;
    }
    __weak VZVirtualMachine *weak_self = self;
    [QEMUExpandedKernel kernelOfConfiguration:_configuration
                                        queue:self.queue
                                   completion:^(QEMUExpandedKernel *kernel) {
                                       [weak_self makeCommandLineForSavedState:state kernel:kernel];
                                   }];
}

- (void)makeCommandLineForSavedState:(QEMUSavedState *)state kernel:(QEMUExpandedKernel *)kernel {
    _kernel = kernel;
    __weak VZVirtualMachine *weak_self = self;
    [self makeCommandLine:kernel
               savedState:state
               completion:^(QEMUCommandLine *commandLine, NSError *error) {
                   [weak_self startInstance:commandLine withMemoryOf:state error:error];
               }];
}

- (void)startInstance:(QEMUCommandLine *)commandLine withMemoryOf:(QEMUSavedState *)state error:(NSError *)error {
    if (commandLine != nil)
        error = QEMUErrorOfStateForMachine(state, _configuration, commandLine);
    if (error != nil) {
        [self finishInState:VZVirtualMachineStateStopped error:QEMURestoreErrorOf(error)];
        return;
    }
    // The memory is copied and checked while QEMU starts, which does not look at it before it reads the stream.
    __block int pending = state.hasMemory ? 2 : 1;
    __block NSError *first = nil;
    _restoring = commandLine;
    __weak VZVirtualMachine *weak_self = self;
    Completion ready = ^(NSError *failure) {
        first = first ?: failure;
        VZVirtualMachine *strong_self = weak_self;
        // QEMU may have ended meanwhile, and the machine be doing something else.
        if (--pending > 0 || strong_self == nil || strong_self->_restoring != commandLine)
            return;
        strong_self->_restoring = nil;
        if (first != nil)
            [strong_self giveUpRestoring:first];
        else
            [strong_self receive:state];
    };
    // First what takes longer.
    HostDescriptor *memory = commandLine.memory;
    if (state.hasMemory)
        [self
            doOffQueue:^(NSError **failure) {
                return [state takeMemoryTo:memory error:failure];
            }
            completion:ready];
    [self startInstance:commandLine completion:ready];
}

- (void)receive:(QEMUSavedState *)state {
    NSError *versionError = QEMUErrorOfStateForVersion(state, _instance.version);
    if (versionError != nil) {
        [self giveUpRestoring:versionError];
        return;
    }
    _lastState = state.identifier;
    __weak VZVirtualMachine *weak_self = self;
    QEMUMigrationReceive(_instance, ^(NSError *error) {
        VZVirtualMachine *strong_self = weak_self;
        if (error != nil) {
            [strong_self giveUpRestoring:error];
            return;
        }
        [strong_self exchangeCards:state];
    });
}

/// Those that were saved with another address than the configuration has.
- (void)exchangeCards:(QEMUSavedState *)state {
    NSMutableArray<NSDictionary *> *cards = [NSMutableArray array];
    NSArray<NSDictionary *> *all = _instance.commandLine.networkCards;
    for (NSUInteger i = 0; i < all.count; i++)
        if (![[state valueOfField:QEMUFieldOfMACAddress(i)] isEqual:all[i][@"mac"]])
            [cards addObject:all[i]];
    _exchange = [[QEMUNetworkCardExchange alloc] initWithInstance:_instance cards:cards];
    __weak VZVirtualMachine *weak_self = self;
    [_exchange beginWithCompletion:^(NSError *error) {
        VZVirtualMachine *strong_self = weak_self;
        // Where the process has ended, or will for its silence, restoringEnded: has the last word.
        if (strong_self == nil || (error != nil && !strong_self->_instance.isAnswering))
            return;
        if (error != nil) {
            [strong_self giveUpRestoring:error];
            return;
        }
        [strong_self putDisksBack];
    }];
}

- (void)putDisksBack {
    QEMUInstance *instance = _instance;
    if (!instance.commandLine.replacesImages) {
        [self finishRestoring];
        return;
    }
    __weak VZVirtualMachine *weak_self = self;
    [self
        doOffQueue:^(NSError **error) {
            return [instance.commandLine replaceImagesWithError:error];
        }
        completion:^(NSError *error) {
            VZVirtualMachine *strong_self = weak_self;
            if (strong_self == nil || strong_self->_instance != instance || !instance.isAnswering)
                return; // as above
            if (error != nil)
                [strong_self giveUpRestoring:error];
            else
                [strong_self finishRestoring];
        }];
}

- (void)finishRestoring {
    [self tellDevicesOfInstance];
    [self finishInState:VZVirtualMachineStatePaused error:nil];
}

- (void)giveUpRestoring:(NSError *)error {
    __weak VZVirtualMachine *weak_self = self;
    dispatch_block_t finish = ^{
        VZVirtualMachine *strong_self = weak_self;
        [strong_self leaveInstance];
        [strong_self finishInState:VZVirtualMachineStateStopped error:QEMURestoreErrorOf(error)];
    };
    // Where the launch failed there is none any more.
    if (_instance != nil)
        [_instance endWithCompletion:finish];
    else
        finish();
}

- (void)restoringEnded:(QEMUEnd *)end {
    _restoring = nil;
    [self finishInState:VZVirtualMachineStateStopped error:QEMURestoreErrorOf([end startError])];
}

/// Whatever goes wrong is an error of restoring; what it was is in its reason and below it.
@end
