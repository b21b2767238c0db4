// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// What is added to a Linux kernel's command line, and why. Under KVM: nothing. Where the machine is emulated:
//
//   tsc_early_khz=N tsc=reliable   The time stamp counter's rate. Without it the kernel measures the rate against a timer,
//                                  which an emulated machine serves too late now and then: on QEMU's microvm, which has no
//                                  second timer to compare with, the kernel then waits for ever.
//   cryptomgr.notests              Leaves out the kernel's self-tests of its ciphers at boot, a tenth to a fifth of the
//                                  time that an emulated machine takes to boot.
//   noreplace-smp                  With one processor, the kernel takes the lock prefixes out of its own code at boot.
//                                  Emulated, they cost one processor nothing, and code that changes is translated again.
//
// A word whose key the user's line has already is the user's. Where the words may not be added (VZLinuxBootLoader's
// applevzAddsToCommandLine, or a line that would grow too long), the machine is a q35, which boots without them.

/// The words, in their order; empty where none is needed.
NSArray<NSString *> *QEMULinuxCommandLineAdditions(void);

typedef struct {
    BOOL fits;               // NO: the user's line stays as it is, since both together are too long
    BOOL knowsCounterRate;   // the kernel need not measure the time stamp counter
} QEMULinuxCommandLineResult;

/// The line with the words added whose key it does not have.
NSString *QEMULinuxCommandLineByAdding(NSString *commandLine, QEMULinuxCommandLineResult *result);

NS_ASSUME_NONNULL_END
