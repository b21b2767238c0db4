// SPDX-License-Identifier: Apache-2.0
#import "QEMU/command_line/QEMUCommandLine.h"

NS_ASSUME_NONNULL_BEGIN

/// What has to be the same for a saved state to fit a machine, as names and values, in an order. QEMU itself checks
/// little of it: with another device or processor it reports success, and the guest is dead. Disks are looked at at
/// this moment.
NSArray<NSArray<NSString *> *> *QEMUFingerprint(VZVirtualMachineConfiguration *configuration,
                                                QEMUCommandLine *commandLine);

/// The field of the size of a machine's memory, in bytes.
NSArray<NSString *> *QEMUFieldOfMemorySize(uint64_t memorySize);

/// The name of the field that has the MAC address of a network device.
NSString *QEMUFieldOfMACAddress(NSUInteger networkDevice);

/// Whether a file is one without a name, as somebody makes for one machine. It is not known by its path.
BOOL QEMUFileIsNameless(NSString *_Nullable path);

/// How the field begins that says when a disk was written last.
extern NSString *const QEMUTimeOfDisk;
/// The same of the sample of what was in it.
extern NSString *const QEMUSampleOfDisk;

NS_ASSUME_NONNULL_END
