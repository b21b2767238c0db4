// SPDX-License-Identifier: Apache-2.0
#import "support/VZErrors+Private.h"
#import "QEMUCommandLine+Private.h"
#import "QEMU/process/QEMUEnd.h"

NSString *const QEMUGraphicsDeviceIdentifier = @"graphics0";

/// The room that QEMU gives a guest's pictures when nothing is said, and how many of the display's size it has to have:
/// a guest draws one while another is shown.
static const uint64_t least_room = 256 << 20;
enum { PICTURES = 4, BYTES_OF_PIXEL = 4 };

@implementation QEMUCommandLine (GraphicsDevices)

- (BOOL)addGraphicsDevices:(NSArray<VZGraphicsDeviceConfiguration *> *)devices error:(NSError **)error {
    if (devices.count == 0)
        return YES;
    NSError *cause = nil;
    _screenshotFile = [HostDescriptor memoryOfSize:0 error:&cause];
    if (_screenshotFile == nil)
        return VZRefuse(error, VZErrorWithReason(VZErrorInternal, QEMUStartFailure,
                                                 [NSString stringWithFormat:@"There is no file for its display: %@.",
                                                                            VZSystemCallErrorText((int)cause.code)],
                                                 nil, cause));
    // QEMU opens it anew for each picture.
    _screenshotPath = [NSString stringWithFormat:@"/proc/self/fd/%lu", (unsigned long)[self inherit:_screenshotFile]];
    VZVirtioGraphicsScanoutConfiguration *scanout = ((VZVirtioGraphicsDeviceConfiguration *)devices[0]).scanouts[0];
    uint64_t picture = (uint64_t)scanout.widthInPixels * (uint64_t)scanout.heightInPixels * BYTES_OF_PIXEL;
    [self addDevice:@"virtio-gpu"
         properties:@{
             @"id" : QEMUGraphicsDeviceIdentifier,
             @"max_outputs" : @1,
             @"xres" : @(scanout.widthInPixels),
             @"yres" : @(scanout.heightInPixels),
             @"max_hostmem" : @(MAX(least_room, PICTURES * picture)),
         }];
    return YES;
}

@end
