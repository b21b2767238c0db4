// SPDX-License-Identifier: Apache-2.0
#import "support/VZErrors+Private.h"
#import "machine/VZVirtualMachine+Private.h"

@implementation VZGraphicsDisplay

- (instancetype)initWithSizeInPixels:(CGSize)size {
    self = [super init];
    if (self != nil)
        _sizeInPixels = size;
    return self;
}

- (BOOL)reconfigureWithSizeInPixels:(CGSize)sizeInPixels error:(NSError **)error {
    // Nothing to change, so that there is nothing to tell.
    if (sizeInPixels.width == _sizeInPixels.width && sizeInPixels.height == _sizeInPixels.height)
        return YES;
    return VZRefuse(
        error, VZErrorWithReason(
                   VZErrorNotSupported, @"The display cannot be reconfigured.",
                   [NSString stringWithFormat:@"sizeInPixels is %g x %g; the guest was told %g x %g as it was started, "
                                              @"and QEMU tells it of no other without a window that shows its "
                                              @"display.",
                                              sizeInPixels.width, sizeInPixels.height, _sizeInPixels.width,
                                              _sizeInPixels.height],
                   @"Configure the size before the machine is made, or change it in the guest.", nil));
}

- (BOOL)reconfigureWithConfiguration:(VZGraphicsDisplayConfiguration *)configuration error:(NSError **)error {
    if (![configuration isKindOfClass:[VZVirtioGraphicsScanoutConfiguration class]])
        return VZRefuse(error,
                        VZInvalidConfigurationError(
                            [NSString stringWithFormat:@"configuration is an instance of %@.", [configuration class]],
                            @"Use a VZVirtioGraphicsScanoutConfiguration, as the display was made from one.", nil));
    VZVirtioGraphicsScanoutConfiguration *scanout = (VZVirtioGraphicsScanoutConfiguration *)configuration;
    CGSize size = {scanout.widthInPixels, scanout.heightInPixels};
    return [self reconfigureWithSizeInPixels:size error:error];
}

// No change comes to be, of which they could be told.
- (void)addObserver:(id<VZGraphicsDisplayObserver>)observer {
    (void)observer;
}

- (void)removeObserver:(id<VZGraphicsDisplayObserver>)observer {
    (void)observer;
}

@end
