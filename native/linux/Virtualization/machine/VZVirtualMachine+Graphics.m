// SPDX-License-Identifier: Apache-2.0
#import "support/VZErrors+Private.h"
#import "VZVirtualMachine+Private.h"

@implementation VZVirtualMachine (Graphics)

- (void)applevzTakeScreenshotWithCompletionHandler:(void (^)(int descriptor, NSError *_Nullable error))handler {
    [self checkQueue];
    VZVirtioGraphicsDevice *device = (VZVirtioGraphicsDevice *)self.graphicsDevices.firstObject;
    NSError *error = nil;
    if (device == nil)
        error = VZErrorWithReason(VZErrorNotSupported, @"The machine has no display.",
                                  @"graphicsDevices of its configuration is empty.",
                                  @"Add a VZVirtioGraphicsDeviceConfiguration to it.", nil);
    else if (self.state != VZVirtualMachineStateRunning && self.state != VZVirtualMachineStatePaused)
        error = VZInvalidStateError(self.state, @"taking a screenshot",
                                    @"A display shows something when its machine is running or paused.");
    QEMUScreenshots *screenshots = device.screenshots;
    if (error == nil && screenshots == nil)
        error = VZErrorWithReason(VZErrorInternal, @"The screenshot could not be taken.",
                                  @"The virtual machine has ended.", nil, nil);
    if (error == nil) {
        [screenshots takeWithCompletion:handler];
        return;
    }
    dispatch_async(self.queue, ^{
        handler(-1, error);
    });
}

@end
