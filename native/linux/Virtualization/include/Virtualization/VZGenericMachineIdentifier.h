// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// Tells one machine from another, to its guest and across saving and restoring. Compare with -isEqual:.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZGenericMachineIdentifier : NSObject<NSCopying>

/// A new identifier, different from every other.
- (instancetype)init;

/// The identifier that gave dataRepresentation, or nil if none can have given it.
- (nullable instancetype)initWithDataRepresentation:(NSData *)dataRepresentation;

/// What to keep in a file so that the same identifier can be made again.
@property (readonly, copy) NSData *dataRepresentation;

@end

NS_ASSUME_NONNULL_END
