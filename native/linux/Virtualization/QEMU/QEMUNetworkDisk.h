// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// A disk of a command line that a server gives out.
@interface QEMUNetworkDisk : NSObject

/// option is the value of -blockdev that makes the node.
- (instancetype)initWithAttachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment
                          property:(NSString *)property
                              node:(NSString *)node
                            option:(NSString *)option;

@property (readonly) VZNetworkBlockDeviceStorageDeviceAttachment *attachment;
@property (readonly) NSString *node;

/// The error of a start that failed for this disk, by what QEMU said; nil where it says something else.
- (nullable NSError *)startErrorOfLastWords:(NSString *)words;

@end

/// An error for a server that does not give out the disk, by QEMU's words.
NSError *QEMUNegotiationError(NSString *description, NSString *property, NSURL *url, NSString *words);

NS_ASSUME_NONNULL_END
