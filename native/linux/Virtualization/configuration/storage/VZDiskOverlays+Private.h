// SPDX-License-Identifier: Apache-2.0
// What a disk image takes that is an overlay, or has one that is gone with its machine.
#import "applevz_extensions.h"
#import "host/HostOverlayImage.h"
#import "support/HostDescriptor.h"
#import <Virtualization/VZDefines.h>

@class VZHostFile;

NS_ASSUME_NONNULL_BEGIN

/// How many images may lie below one. QEMU opens each, and those that a saved state holds of the disk.
enum { VZMaximumBaseCount = 16 };

/// An image that was opened, with what lies below it.
@interface VZOpenedImage : NSObject
- (instancetype)initWithFile:(VZHostFile *)file
                        size:(uint64_t)size
                        base:(nullable VZOpenedImage *)base NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
@property (readonly) VZHostFile *file;
/// Of the disk that it is, in bytes.
@property (readonly) uint64_t size;
/// Of which it holds what differs; nil for a raw one.
@property (readonly, nullable) VZOpenedImage *base;
/// What an overlay of it says of it.
@property (readonly) host_overlay_base asBase;
@end

/// A new file without a name, whose room is free with the last process that has it. In the folder, or, where that is
/// nil, in one for temporary files that outlast a start of the host, unless it is in memory. nil with an error of
/// VZErrorInvalidVirtualMachineConfiguration whose reason begins with property.
extern HostDescriptor *_Nullable VZNewOverlayFile(NSURL *_Nullable folder, BOOL passesByCache, NSString *property,
                                                  NSError *_Nullable __autoreleasing *_Nullable error);

/// What differs between the base that an overlay says it has and the one that was found; nil if nothing does. The words
/// follow on "which".
extern NSString *_Nullable VZWrongWithBase(host_overlay_base said, host_overlay_base found,
                                           NSString *_Nullable __autoreleasing *_Nonnull suggestion);

/// What is wrong with an overlay over that base; nil if nothing is, and it has that size then. The words follow on
/// "which", and begin those of what would do.
extern NSString *_Nullable VZWrongWithOverlay(VZHostFile *overlay, VZOpenedImage *base, uint64_t *size,
                                              NSString *_Nullable __autoreleasing *_Nonnull suggestion);

/// As applevzCreateImageAtURL:… makes one, of a base that was opened, and of a size that it can have.
extern BOOL VZCreateImageOfBase(NSURL *url, VZOpenedImage *base, uint64_t size, AppleVZCloning cloning, BOOL *isClone,
                                NSError *_Nullable __autoreleasing *_Nullable error);

/// The name of another property of the same object: "attachment.URL" and "base" give "attachment.base".
extern NSString *VZPropertyBeside(NSString *property, NSString *name);

NS_ASSUME_NONNULL_END
