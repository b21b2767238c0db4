// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine.h"

NS_ASSUME_NONNULL_BEGIN

/// What has to be the same for a saved state to fit a machine, as names and values, in an order. QEMU itself checks little of
/// it: with another device or processor it reports success, and the guest is dead. Disks are looked at at this moment.
NSArray<NSArray<NSString *> *> *QEMUFingerprint(VZVirtualMachineConfiguration *configuration, QEMUCommandLine *commandLine);

/// The name of the field that has the MAC address of a network device.
NSString *QEMUFieldOfMACAddress(NSUInteger networkDevice);

NS_ASSUME_NONNULL_END
