// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// What is added to a Linux kernel's command line, and why. Under KVM: nothing. Where the machine is emulated:
//
//   tsc_early_khz=N tsc=reliable   The time stamp counter's rate. Without it the kernel measures the rate against a
//                                  timer, which an emulated machine serves too late now and then: on QEMU's microvm,
//                                  which has no second timer to compare with, the kernel then waits for ever.
//   cryptomgr.notests              Leaves out the kernel's self-tests of its ciphers at boot, a tenth to a fifth of the
//                                  time that an emulated machine takes to boot.
//   noreplace-smp                  With one processor, the kernel takes the lock prefixes out of its own code at boot.
//                                  Emulated, they cost one processor nothing, and code that changes is translated
//                                  again.
//
// A word whose name the user's line has already is the user's. The words stand behind the user's, but before a "--",
// behind which all is the init program's, and before a word with a quote that has no end, which would swallow them.
// Where they may not be added (VZLinuxBootLoader's applevzAddsToCommandLine, or a line that would grow too long), or
// where the kernel would not find a rate in the line, the machine is a q35, which boots without.

/// The words, in their order; empty where none is needed.
NSArray<NSString *> *QEMULinuxCommandLineAdditions(void);

/// The line, which must have a form in UTF-8, with those of the words added whose name it does not have. Where it would
/// grow too long with them, the line as it is.
NSString *QEMULinuxCommandLineByAdding(NSString *commandLine, NSArray<NSString *> *words);

/// Whether a kernel that reads the line need not measure the time stamp counter.
BOOL QEMULinuxCommandLineHasCounterRate(NSString *commandLine);

/// Whether a word of it has the kernel do without what a microvm has nothing else for: the tables of ACPI, by which it
/// finds its devices and their interrupts, the controller that these come through, and the timer of its processor.
BOOL QEMULinuxCommandLineNeedsPC(NSString *commandLine);

NS_ASSUME_NONNULL_END
