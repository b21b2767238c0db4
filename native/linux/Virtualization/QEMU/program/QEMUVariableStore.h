// SPDX-License-Identifier: Apache-2.0
// The file of an EFI variable store, as flash memory holds it: a firmware volume (UEFI's Platform Initialization
// Specification, volume 3) with a store of EDK II's in it.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// What is wrong with a store that has to be of that size, to complete a sentence with; nil if nothing is. Looks at
/// what the firmware needs to find the store; the variables are the firmware's, which passes by those that it cannot
/// read.
NSString *_Nullable QEMUVariableStoreDamage(int descriptor, uint64_t size);

/// Whether somebody, as a QEMU that has it for a disk or for flash memory, has a lock on the file.
BOOL QEMUFileIsLocked(int descriptor);

/// Whether a QEMU has it for a disk that it writes.
BOOL QEMUFileIsWritten(int descriptor);

NS_ASSUME_NONNULL_END
