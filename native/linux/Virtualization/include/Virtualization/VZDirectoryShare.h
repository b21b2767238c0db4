// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What a guest finds in a directory sharing device. Abstract: make a subclass.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZDirectoryShare : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
