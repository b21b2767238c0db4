// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// Where the guest's input comes from. Abstract: make a VZHostAudioInputStreamSource.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZAudioInputStreamSource : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
