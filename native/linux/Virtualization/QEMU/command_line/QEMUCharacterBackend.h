// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// Hands a descriptor over to QEMU, and gives the path that stands for it there.
typedef NSString *_Nonnull (^QEMUPathMaker)(HostDescriptor *descriptor);

/// What QEMU is given of an attachment: the backend of a character device.
@interface QEMUCharacterBackend : NSObject

/// nil for an attachment: what is written is discarded. nil, with an error of a start's, where a file cannot be opened.
///
/// With `fresh` the machine's guest begins anew: only then is a file that is not appended to emptied. One that goes on
/// where it was saved goes on writing behind what it wrote.
- (nullable instancetype)initWithAttachment:(nullable VZSerialPortAttachment *)attachment
                                      fresh:(BOOL)fresh
                                   property:(NSString *)property
                                       path:(NS_NOESCAPE QEMUPathMaker)path
                                      error:(NSError **)error;
- (instancetype)init NS_UNAVAILABLE;

/// As chardev-add and chardev-change take it.
@property (readonly) NSDictionary *options;

/// Whether a writer may have to wait for a reader: not at a regular file.
@property (readonly) BOOL canBeFull;

/// QEMU has opened it, and has set on the file what it thinks right: that is mended here.
- (void)wasOpened;

/// QEMU is gone, or uses it no more: a regular file's handle is left standing after what was written.
- (void)leave;

@end

/// What the options are of a backend that is full, and stays so: a pipe's end that QEMU was given. The object keeps the
/// other.
@interface QEMUFullPipe : NSObject
- (nullable instancetype)initWithPath:(NS_NOESCAPE QEMUPathMaker)path error:(NSError **)error;
- (instancetype)init NS_UNAVAILABLE;
@property (readonly) NSDictionary *options;
@end

NS_ASSUME_NONNULL_END
