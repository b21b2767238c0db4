// SPDX-License-Identifier: Apache-2.0
#import "../guard.h"
#import "../ownership.h"
#import "applevz.h"
#import <Virtualization/Virtualization.h>

CFErrorRef applevz_configuration_add_virtio_traditional_memory_balloon_device(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.memoryBalloonDevices = [object.memoryBalloonDevices
            arrayByAddingObject:[[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init]];
        return nil;
    });
}
