// SPDX-License-Identifier: Apache-2.0
#import "machine/VZVirtualMachine+Private.h"

@implementation VZVirtioGraphicsDevice {
    QEMUScreenshots *_screenshots; // of the QEMU that runs
}

- (instancetype)initWithConfiguration:(VZVirtioGraphicsDeviceConfiguration *)configuration {
    NSMutableArray<VZGraphicsDisplay *> *displays = [NSMutableArray array];
    for (VZVirtioGraphicsScanoutConfiguration *scanout in configuration.scanouts) {
        CGSize size = {.width = (CGFloat)scanout.widthInPixels, .height = (CGFloat)scanout.heightInPixels};
        [displays addObject:[[VZVirtioGraphicsScanout alloc] initWithSizeInPixels:size]];
    }
    return [super initWithDisplays:displays];
}

- (QEMUScreenshots *)screenshots {
    return _screenshots;
}

- (void)instanceReady:(QEMUInstance *)instance {
    _screenshots = [[QEMUScreenshots alloc] initWithInstance:instance];
}

- (void)instanceEnded {
    _screenshots = nil;
}

@end
