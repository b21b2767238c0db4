// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// A disk of a command line, or another file that QEMU locks, so that what QEMU says of it at a start is told by its
/// place in the configuration.
@interface QEMUStartedDisk : NSObject

/// property is that of the data, such as "storageDevices[0].attachment.URL", and shown its value in an error. option is
/// the value of -blockdev that makes the node; paths what stands for files in it.
- (instancetype)initWithProperty:(NSString *)property
                           shown:(NSString *)shown
                            node:(NSString *)node
                          option:(NSString *)option
                           paths:(NSArray<NSString *> *)paths
                      attachment:(nullable VZStorageDeviceAttachment *)attachment NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// The error of a start that failed for this disk, by what QEMU said; nil where it says something else.
- (nullable NSError *)startErrorOfLastWords:(NSString *)words;

@end

/// An error for a disk that another process uses, where that is what QEMU's words mean; otherwise nil.
NSError *_Nullable QEMULockedDiskError(NSString *property, NSString *shown, NSString *words);

/// An error for a server that does not give out the disk, by QEMU's words. property is that of its URL.
NSError *QEMUNegotiationError(NSString *description, NSString *property,
                              VZNetworkBlockDeviceStorageDeviceAttachment *attachment, NSString *words);

NS_ASSUME_NONNULL_END
