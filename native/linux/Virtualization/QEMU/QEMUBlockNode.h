// SPDX-License-Identifier: Apache-2.0
#import "QEMUDescriptor.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// What QEMU opens for a disk.
@interface QEMUBlockNode : NSObject

/// nil, with an error whose reason begins with the property, where it cannot be used any more.
+ (nullable instancetype)nodeOf:(VZStorageDeviceAttachment *)attachment
                             as:(NSString *)property
                          error:(NSError **)error;

/// What is handed to QEMU to be opened as `path`; nil where QEMU opens something itself.
@property (readonly, nullable) QEMUDescriptor *descriptor;

/// What blockdev-add takes. A path stands for the descriptor.
- (NSDictionary *)optionsWithName:(NSString *)name path:(nullable NSString *)path;

/// Its server, where it has one.
@property (readonly, nullable) VZNetworkBlockDeviceStorageDeviceAttachment *networkAttachment;

@end

NS_ASSUME_NONNULL_END
