// SPDX-License-Identifier: Apache-2.0
#import "QEMU/command_line/QEMUBlockNode.h"
#import "QEMU/process/QEMUInstance.h"

NS_ASSUME_NONNULL_BEGIN

/// A disk on a port of a USB controller, from its being plugged in to its being out again. Everything happens on the
/// instance's queue.
@interface QEMUUSBDisk : NSObject

/// A disk that is to be plugged in, or was with the command line. It has the name of its own in the QEMU.
- (instancetype)initWithConfiguration:(VZUSBMassStorageDeviceConfiguration *)configuration
                           controller:(NSUInteger)controller
                                 port:(NSUInteger)port;
- (instancetype)init NS_UNAVAILABLE;

@property (readonly) VZUSBMassStorageDeviceConfiguration *configuration;
@property (readonly) NSUInteger port;

/// The name of what it is made of.
@property (readonly) NSString *node;
/// What device_add takes: the device on the USB, and then the disk that is behind it.
@property (readonly) NSArray<NSDictionary *> *devices;

/// QEMU's numbers for the descriptors that it was handed, which it is told to close when the disk is out.
@property (copy) NSArray<NSNumber *> *descriptorSets;

/// Whether it is being plugged in or taken out.
@property (readonly) BOOL isBusy;

- (void)plug:(QEMUBlockNode *)node
          into:(QEMUInstance *)instance
    completion:(void (^)(NSError *_Nullable error))completion;

/// Completes when QEMU has let go of all that it was made of.
- (void)takeOutOf:(QEMUInstance *)instance completion:(void (^)(NSError *_Nullable error))completion;

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data;

/// Whether QEMU has taken it out.
@property (readonly) BOOL isOut;

@end

/// QEMU's name for the controller with that index.
NSString *QEMUNameOfUSBController(NSUInteger index);

NS_ASSUME_NONNULL_END
