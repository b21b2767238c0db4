// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedStateFit.h"
#import "QEMUFingerprint.h"
#import "QEMU/boot/QEMUExpandedKernel.h"
#import "QEMU/program/QEMUProgram.h"
#import "QEMU/program/QEMUVersion.h"
#import "support/VZErrors+Private.h"
#import <shown_text.h>

NSError *QEMUErrorOfStateForMachine(QEMUSavedState *state, VZVirtualMachineConfiguration *configuration,
                                    QEMUCommandLine *commandLine) {
    // They are exchanged for others once the machine runs.
    NSMutableArray<NSString *> *exempt = [NSMutableArray array];
    for (NSUInteger i = 0; i < commandLine.networkCards.count; i++)
        [exempt addObject:QEMUFieldOfMACAddress(i)];
    return [state errorOfFields:QEMUFingerprint(configuration, commandLine) exempt:exempt];
}

NSError *QEMUErrorOfStateForVersion(QEMUSavedState *state, NSString *version) {
    if ([state.version isEqualToString:version])
        return nil;
    return QEMURestoreError([NSString stringWithFormat:@"The version of QEMU is %@; the saved state was made with %@.",
                                                       version, applevz_shown_text(state.version, 100, NO)],
                            @"Name that version's program in the environment variable APPLEVZ_QEMU.", nil);
}

NSError *QEMURestoreErrorOf(NSError *error) {
    if ([error.domain isEqualToString:VZErrorDomain] && error.code == VZErrorRestore)
        return error;
    NSString *reason = error.localizedFailureReason ?: error.localizedDescription;
    return QEMURestoreError([reason hasSuffix:@"."] ? reason : [reason stringByAppendingString:@"."],
                            error.localizedRecoverySuggestion, error);
}

static QEMUExpandedKernel *expanded_kernel(VZVirtualMachineConfiguration *configuration) {
    dispatch_queue_t queue = dispatch_queue_create("applevz.saved-state-fit", DISPATCH_QUEUE_SERIAL);
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    __block QEMUExpandedKernel *found = nil;
    [QEMUExpandedKernel kernelOfConfiguration:configuration
                                        queue:queue
                                   completion:^(QEMUExpandedKernel *kernel) {
                                       found = kernel;
                                       dispatch_semaphore_signal(done);
                                   }];
    dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
    return found;
}

NSError *QEMUErrorOfPrivateRestore(NSString *path, VZVirtualMachineConfiguration *configuration) {
    NSError *error = nil;
    QEMUSavedState *state = nil;
    if ([configuration validateWithError:&error])
        state = [[QEMUSavedState alloc] initWithPath:path memorySize:configuration.memorySize error:&error];
    if (state == nil)
        return QEMURestoreErrorOf(error);
    state.isMapped = YES; // nothing of it is copied, and no disk is put back
    QEMUExpandedKernel *kernel = QEMUExpandsKernelForSavedState(state) ? expanded_kernel(configuration) : nil;
    QEMUCommandLine *commandLine = [[QEMUCommandLine alloc] initWithConfiguration:configuration
                                                                           kernel:kernel
                                                                       savedState:state
                                                                            error:&error];
    if (commandLine != nil)
        error = QEMUErrorOfStateForMachine(state, configuration, commandLine);
    [commandLine leaveCharacterBackends];
    if (error != nil)
        return QEMURestoreErrorOf(error);
    NSString *program = [QEMUProgram pathWithError:&error];
    NSString *version = program != nil ? QEMUVersionOfProgram(program, &error) : nil;
    return version != nil ? QEMUErrorOfStateForVersion(state, version) : QEMURestoreErrorOf(error);
}
