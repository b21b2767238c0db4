// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioConsolePortConfiguration;

/// The ports of a VZVirtioConsoleDeviceConfiguration, by their places; a place may be empty.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioConsolePortConfigurationArray : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// How many places the device has. Until it is set, as many as its ports take up.
@property uint32_t maximumPortCount;

/// The port at the place; nil for none.
- (nullable VZVirtioConsolePortConfiguration *)objectAtIndexedSubscript:(NSUInteger)portIndex;

/// Puts a port in the place, or with nil takes it out.
- (void)setObject:(nullable VZVirtioConsolePortConfiguration *)configuration atIndexedSubscript:(NSUInteger)portIndex;

@end

NS_ASSUME_NONNULL_END
