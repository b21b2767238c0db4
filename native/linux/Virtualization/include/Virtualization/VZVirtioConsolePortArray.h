// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioConsolePort;

/// The ports of a VZVirtioConsoleDevice, by their places.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioConsolePortArray : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// How many places the device has.
@property (readonly) uint32_t maximumPortCount;

/// The port at the place; nil for none.
- (nullable VZVirtioConsolePort *)objectAtIndexedSubscript:(NSUInteger)portIndex;

@end

NS_ASSUME_NONNULL_END
