// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/*! A display of a machine's graphics card, from VZGraphicsDevice.displays; never made by a program. */
VZ_EXPORT API_AVAILABLE(macos(14.0))
@interface VZGraphicsDisplay : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/*! The size that the configuration has for it, which its guest is told; whether the guest uses it is up to the guest. */
@property (readonly) CGSize sizeInPixels;

@end

NS_ASSUME_NONNULL_END
