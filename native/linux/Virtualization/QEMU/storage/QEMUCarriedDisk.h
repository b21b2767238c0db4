// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// How many overlays of one disk a saved state may hold: as often a machine that was restored privately may have been
/// saved in turn. QEMU opens each.
enum { QEMU_MAXIMUM_LAYER_COUNT = 16 };

/// An overlay, in a file of its own or in a part of a saved state.
@interface QEMUDiskLayer : NSObject
- (instancetype)initWithFile:(HostDescriptor *)file
                    position:(uint64_t)position
                      length:(uint64_t)length
                    checksum:(uint64_t)checksum NS_DESIGNATED_INITIALIZER;
/// The whole of a file, which may grow.
- (instancetype)initWithFile:(HostDescriptor *)file;
- (instancetype)init NS_UNAVAILABLE;
@property (readonly) HostDescriptor *file;
@property (readonly) uint64_t position;
/// 0 for the whole of a file.
@property (readonly) uint64_t length;
/// Of a part of a saved state.
@property (readonly) uint64_t checksum;
@end

/// A disk of which a saved state holds what the guest wrote: the overlays of it that are the machine's own.
@interface QEMUCarriedDisk : NSObject
/// name is the attachment's place in the configuration, such as "storageDevices[0].attachment"; the layers are from the
/// top down, and the disk has that size.
- (instancetype)initWithName:(NSString *)name
                      layers:(NSArray<QEMUDiskLayer *> *)layers
                        size:(uint64_t)size NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
@property (readonly) NSString *name;
@property (readonly) NSArray<QEMUDiskLayer *> *layers;
@property (readonly) uint64_t size;
@end

NS_ASSUME_NONNULL_END
