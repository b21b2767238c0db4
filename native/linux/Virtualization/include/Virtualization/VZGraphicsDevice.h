// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZGraphicsDisplay;

/// A graphics card of a machine, from VZVirtualMachine.graphicsDevices; never made by a program.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZGraphicsDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The displays of the card's configuration, in its order.
@property (readonly, copy) NSArray<VZGraphicsDisplay *> *displays;

@end

NS_ASSUME_NONNULL_END
