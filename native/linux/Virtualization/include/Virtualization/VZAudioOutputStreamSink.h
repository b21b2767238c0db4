// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// Where the guest's output goes. Abstract: make a VZHostAudioOutputStreamSink.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZAudioOutputStreamSink : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
