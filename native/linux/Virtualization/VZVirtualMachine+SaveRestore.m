// SPDX-License-Identifier: Apache-2.0
#import "QEMU/QEMUFingerprint.h"
#import "QEMU/QEMUMigration.h"
#import "QEMU/QEMUSavedState.h"
#import "VZConfiguration+Private.h"
#import "VZErrors+Private.h"
#import "VZHostFile+Private.h"
#import "VZNamedStorageDeviceAttachment+Private.h"
#import "VZVirtualMachine+Private.h"

typedef void (^Completion)(NSError *_Nullable error);

@implementation VZVirtualMachine (SaveRestore)

#pragma mark Saving

- (void)saveMachineStateToURL:(NSURL *)saveFileURL completionHandler:(void (^)(NSError *))completionHandler {
    [self saveToURL:saveFileURL handingOver:NO completion:completionHandler];
}

- (void)applevzSaveMachineStateByHandingOverMemoryToURL:(NSURL *)saveFileURL
                                      completionHandler:(void (^)(NSError *))completionHandler {
    [self saveToURL:saveFileURL handingOver:YES completion:completionHandler];
}

- (void)saveToURL:(NSURL *)saveFileURL handingOver:(BOOL)handingOver completion:(Completion)completionHandler {
    [self checkQueue];
    BOOL exchanges = _exchange.isUnderWay;
    if (self.state != VZVirtualMachineStatePaused || _isHandedOver || exchanges) {
        // A card that is half taken out would be so in what is saved, and nobody would put another in.
        NSError *error = VZErrorWithReason(
            VZErrorInvalidVirtualMachineState, @"Invalid virtual machine state.",
            [NSString stringWithFormat:@"save: the virtual machine is %@.",
                                       _isHandedOver ? @"saved, and its memory with it"
                                       : exchanges   ? @"about to have its network cards exchanged"
                                                     : VZNameOfState(self.state)],
            _isHandedOver ? @"It can be stopped."
            : exchanges   ? @"It can be saved when it is paused, once its guest has run and let the old cards go."
                          : @"It can be saved when it is paused.",
            nil);
        dispatch_async(self.queue, ^{
            completionHandler(error);
        });
        return;
    }
    NSString *reason = VZReasonAgainstSavingStorage(_configuration.storageAttachments);
    NSString *suggestion = @"Use a VZDiskImageStorageDeviceAttachment.";
    if (reason == nil) {
        reason = self.reasonAgainstSavingDevices;
        suggestion = @"Save it with the devices of its configuration, on their ports, and no other.";
    }
    if (reason != nil) {
        dispatch_async(self.queue, ^{
            completionHandler(QEMUSaveError(reason, suggestion, nil));
        });
        return;
    }
    NSError *unsaveable = _configuration.directorySharingSaveError ?: _configuration.socketsSaveError ?: _configuration.consoleDevicesSaveError;
    if (unsaveable != nil) {
        NSError *error = QEMUSaveError(unsaveable.localizedFailureReason, unsaveable.localizedRecoverySuggestion, unsaveable);
        dispatch_async(self.queue, ^{
            completionHandler(error);
        });
        return;
    }
    [self begin:@"save" allowed:YES from:@"paused" state:VZVirtualMachineStateSaving completion:completionHandler];
    __weak VZVirtualMachine *weak_self = self;
    dispatch_async(self.queue, ^{
        [weak_self saveToURL:saveFileURL handingOver:handingOver];
    });
}

- (void)saveToURL:(NSURL *)url handingOver:(BOOL)handingOver {
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
    [self doOffQueue:^(NSError **error) {
        return [writer writeMemoryWithError:error];
    } completion:done];
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
    NSArray<NSArray<NSString *> *> *fields = QEMUFingerprint(_configuration, instance.commandLine);
    __weak VZVirtualMachine *weak_self = self;
    [self doOffQueue:^(NSError **error) {
        if (failure == nil)
            return [writer finishWithStream:stream version:instance.version fields:fields error:error];
        [writer giveUp];
        return VZRefuse(error, failure);
    } completion:^(NSError *error) {
        VZVirtualMachine *strong_self = weak_self;
        if (![strong_self isSavingInstance:instance])
            return; // the file may be there, and is whole then
        strong_self->_isHandedOver = handingOver && error == nil;
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
    QEMUDescriptor *memory = mapped ? nil : _formerMemory;
    if (memory != nil)
        _formerMemory = nil;
    __block QEMUSavedState *state = nil;
    __weak VZVirtualMachine *weak_self = self;
    [self doOffQueue:^(NSError **error) {
        NSString *reason = nil;
        NSString *path = VZPathOfFileURL(saveFileURL, &reason);
        if (path == nil)
            return VZRefuse(error, QEMURestoreError([NSString stringWithFormat:@"saveFileURL %@.", reason], nil, nil));
        // Not by the file: a machine that cannot be made now cannot be restored.
        if ([configuration validateWithError:error])
            state = [[QEMUSavedState alloc] initWithPath:path error:error];
        state.isMapped = mapped;
        state.formerMemory = memory;
        return (BOOL)(state != nil);
    } completion:^(NSError *error) {
        [weak_self launchFrom:state error:error];
    }];
}

- (void)launchFrom:(QEMUSavedState *)state error:(NSError *)error {
    if (error != nil) {
        [self finishInState:VZVirtualMachineStateStopped error:[self restoreErrorOf:error]];
        return;
    }
    if (!QEMUExpandsKernelForSavedState(state)) {
        [self launchFrom:state kernel:nil];
        return;
    }
    __weak VZVirtualMachine *weak_self = self;
    [QEMUExpandedKernel kernelOfConfiguration:_configuration
                                        queue:self.queue
                                   completion:^(QEMUExpandedKernel *kernel) {
                                       [weak_self launchFrom:state kernel:kernel];
                                   }];
}

- (void)launchFrom:(QEMUSavedState *)state kernel:(QEMUExpandedKernel *)kernel {
    _kernel = kernel;
    __weak VZVirtualMachine *weak_self = self;
    [self makeCommandLine:kernel
               savedState:state
               completion:^(QEMUCommandLine *commandLine, NSError *error) {
                   [weak_self launch:commandLine from:state error:error];
               }];
}

- (void)launch:(QEMUCommandLine *)commandLine from:(QEMUSavedState *)state error:(NSError *)error {
    if (commandLine != nil)
        error = [state errorOfFields:QEMUFingerprint(_configuration, commandLine)
                              exempt:[self fieldsOfExchangeableCards:commandLine]];
    if (error != nil) {
        [self finishInState:VZVirtualMachineStateStopped error:[self restoreErrorOf:error]];
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
    QEMUDescriptor *memory = state.isMapped ? nil : commandLine.memory;
    if (state.hasMemory)
        [self doOffQueue:^(NSError **failure) {
            return [state takeMemoryTo:memory error:failure];
        } completion:ready];
    [self launch:commandLine completion:ready];
}

- (void)receive:(QEMUSavedState *)state {
    if (![state.version isEqualToString:_instance.version]) {
        [self giveUpRestoring:QEMURestoreError(
                                  [NSString stringWithFormat:@"The version of QEMU is %@; the saved state was made with %@.",
                                                             _instance.version, state.version],
                                  @"Name that version's program in the environment variable APPLEVZ_QEMU.", nil)];
        return;
    }
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

- (NSArray<NSString *> *)fieldsOfExchangeableCards:(QEMUCommandLine *)commandLine {
    NSMutableArray<NSString *> *fields = [NSMutableArray array];
    for (NSUInteger i = 0; i < commandLine.networkCards.count; i++)
        [fields addObject:QEMUFieldOfMACAddress(i)];
    return fields;
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
        [strong_self tellDevicesOfInstance];
        [strong_self finishInState:VZVirtualMachineStatePaused error:nil];
    }];
}

- (void)giveUpRestoring:(NSError *)error {
    __weak VZVirtualMachine *weak_self = self;
    dispatch_block_t finish = ^{
        VZVirtualMachine *strong_self = weak_self;
        [strong_self leaveInstance];
        [strong_self finishInState:VZVirtualMachineStateStopped error:[strong_self restoreErrorOf:error]];
    };
    // Where the launch failed there is none any more.
    if (_instance != nil)
        [_instance endWithCompletion:finish];
    else
        finish();
}

- (void)restoringEnded:(QEMUEnd *)end {
    _restoring = nil;
    [self finishInState:VZVirtualMachineStateStopped error:[self restoreErrorOf:[end startError]]];
}

/// Whatever goes wrong is an error of restoring; what it was is in its reason and below it.
- (NSError *)restoreErrorOf:(NSError *)error {
    if ([error.domain isEqualToString:VZErrorDomain] && error.code == VZErrorRestore)
        return error;
    return QEMURestoreError(error.localizedFailureReason ?: [error.localizedDescription stringByAppendingString:@"."],
                            error.localizedRecoverySuggestion, error);
}

@end
