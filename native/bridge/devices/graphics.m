// SPDX-License-Identifier: Apache-2.0
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "machine/machine.h"
#import "boundary/missing_capabilities.h"
#import "boundary/newer_sdk.h"
#import "boundary/ownership.h"
#import "applevz.h"
#import "applevz_extensions.h"

CFErrorRef applevz_configuration_add_virtio_graphics_device(applevz_configuration *configuration,
                                                            const applevz_display_size *scanouts, size_t count) {
    return applevz_guard(^NSError *_Nullable {
        NSMutableArray<VZVirtioGraphicsScanoutConfiguration *> *displays = [NSMutableArray array];
        for (size_t i = 0; i < count; i++)
            [displays addObject:[[VZVirtioGraphicsScanoutConfiguration alloc]
                                    initWithWidthInPixels:(NSInteger)scanouts[i].width
                                           heightInPixels:(NSInteger)scanouts[i].height]];
        VZVirtioGraphicsDeviceConfiguration *device = [[VZVirtioGraphicsDeviceConfiguration alloc] init];
        device.scanouts = displays;
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.graphicsDevices = [object.graphicsDevices arrayByAddingObject:device];
        return nil;
    });
}

static NSError *access_displays(applevz_machine *machine, NSError *_Nullable (^block)(NSArray<NSValue *> *sizes)) {
    if (@available(macOS 14.0, *)) {
        return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
            NSMutableArray<NSValue *> *sizes = [NSMutableArray array];
            for (VZGraphicsDevice *device in object.graphicsDevices)
                for (VZGraphicsDisplay *display in device.displays)
                    [sizes addObject:[NSValue valueWithSize:display.sizeInPixels]];
            return block(sizes);
        }];
    } else {
        return applevz_error(VZErrorDomain, VZErrorNotSupported, @"A machine's displays cannot be listed here.",
                             @"The framework lists them from macOS 14 on.", nil);
    }
}

CFErrorRef applevz_machine_display_count(applevz_machine *machine, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        return access_displays(machine, ^NSError *(NSArray<NSValue *> *sizes) {
            *count = sizes.count;
            return nil;
        });
    });
}

CFErrorRef applevz_machine_display_size(applevz_machine *machine, size_t index, applevz_display_size *size) {
    return applevz_guard(^NSError *_Nullable {
        return access_displays(machine, ^NSError *(NSArray<NSValue *> *sizes) {
            if (index >= sizes.count)
                return applevz_no_such_index(@"There is no such display.", index, sizes.count,
                                             @"Add a graphics device to the configuration.");
            *size = (applevz_display_size){.width = (int64_t)sizes[index].sizeValue.width,
                                           .height = (int64_t)sizes[index].sizeValue.height};
            return nil;
        });
    });
}

NSError *applevz_screenshots_missing(void) {
    if ([VZVirtualMachine instancesRespondToSelector:@selector(applevzTakeScreenshotWithCompletionHandler:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"No screenshots can be taken here.",
                         @"The virtualization framework shows a guest's display in a window only.", nil);
}

CFErrorRef applevz_machine_take_screenshot(applevz_machine *machine, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_screenshots_missing();
        if (error != nil)
            return error;
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        *operation = applevz_hand_over_handle(
            [owner request:^(VZVirtualMachine *object, AppleVZOperation *result, void (^done)(void)) {
                [(id<AppleVZScreenshots>)object
                    applevzTakeScreenshotWithCompletionHandler:^(int descriptor, NSError *_Nullable failure) {
                        if (failure != nil)
                            [result completeWithError:failure];
                        else
                            [result completeWithDescriptor:descriptor];
                        done();
                    }];
            }]);
        return nil;
    });
}
