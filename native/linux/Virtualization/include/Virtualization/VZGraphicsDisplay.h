// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZGraphicsDisplay;
@class VZGraphicsDisplayConfiguration;

/// Hears of changes of a display, on the machine's queue.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @protocol VZGraphicsDisplayObserver<NSObject>
@optional
- (void)displayDidBeginReconfiguration:(VZGraphicsDisplay *)display;
- (void)displayDidEndReconfiguration:(VZGraphicsDisplay *)display;
@end

/// A display of a machine's graphics card, from VZGraphicsDevice.displays; never made by a program.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZGraphicsDisplay : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The size that the configuration has for it, which its guest is told; whether the guest uses it is up to the guest.
@property (readonly) CGSize sizeInPixels;

/// Here NO, with VZErrorNotSupported, for any other size: QEMU has no way to tell a guest of one without a window that
/// shows the display.
- (BOOL)reconfigureWithSizeInPixels:(CGSize)sizeInPixels error:(NSError **)error;

/// The same with the size of a VZVirtioGraphicsScanoutConfiguration.
- (BOOL)reconfigureWithConfiguration:(VZGraphicsDisplayConfiguration *)configuration error:(NSError **)error;

/// Observers are not kept.
- (void)addObserver:(id<VZGraphicsDisplayObserver>)observer;
- (void)removeObserver:(id<VZGraphicsDisplayObserver>)observer;

@end

NS_ASSUME_NONNULL_END
