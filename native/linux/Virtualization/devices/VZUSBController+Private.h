// SPDX-License-Identifier: Apache-2.0
#import "QEMU/storage/QEMUUSBDisk.h"
#import "configuration/storage/VZNamedStorageDeviceAttachment+Private.h"
#import "machine/VZVirtualMachine+Private.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@interface VZStorageDevice ()
- (instancetype)initForSubclass;
@end

@interface VZUSBMassStorageDevice ()
@property (readonly) VZUSBMassStorageDeviceConfiguration *configuration;
@property (readwrite, weak) VZUSBController *_Nullable usbController;
/// From the moment at which it is to be attached until it is detached.
@property (nullable) QEMUUSBDisk *disk;
@end

@interface VZUSBController () <VZRuntimeDevice>
- (instancetype)initWithMachine:(VZVirtualMachine *)machine
                          index:(NSUInteger)index
                  configuration:(VZUSBControllerConfiguration *)configuration
                          queue:(dispatch_queue_t)queue;

/// What is attached, by the names of the devices, such as "usbControllers[0].usbDevices[1]".
@property (readonly) NSArray<VZNamedStorageDeviceAttachment *> *storageAttachments;

/// What is attached, and what is about to be.
@property (readonly) NSArray<VZUSBMassStorageDevice *> *allDevices;

/// Why its machine cannot be saved now: a saved state is restored by a machine with the devices of the configuration.
/// nil where it can.
@property (readonly, nullable) NSString *reasonAgainstSaving;
@end

NS_ASSUME_NONNULL_END
