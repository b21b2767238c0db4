// SPDX-License-Identifier: Apache-2.0
#import "QEMU/command_line/QEMUCommandLine.h"
#import "QEMUSavedState.h"

NS_ASSUME_NONNULL_BEGIN

/// Why a machine cannot go on from a state; nil if it can.
NSError *_Nullable QEMUErrorOfStateForMachine(QEMUSavedState *state, VZVirtualMachineConfiguration *configuration,
                                              QEMUCommandLine *commandLine);
/// The same for a state's and QEMU's versions.
NSError *_Nullable QEMUErrorOfStateForVersion(QEMUSavedState *state, NSString *version);

/// The error of a restore for whatever stands against one.
NSError *QEMURestoreErrorOf(NSError *error);

/// Why a machine of that configuration would refuse a private restore from the file; nil if it would not. Opens what a
/// restore opens and runs no guest. Waits: not on a machine's queue.
NSError *_Nullable QEMUErrorOfPrivateRestore(NSString *path, VZVirtualMachineConfiguration *configuration);

NS_ASSUME_NONNULL_END
