// SPDX-License-Identifier: Apache-2.0
#import "boundary/guard.h"
#import "boundary/ownership.h"
#import "applevz.h"
#import <Virtualization/Virtualization.h>

CFErrorRef applevz_configuration_add_virtio_entropy_device(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.entropyDevices =
            [object.entropyDevices arrayByAddingObject:[[VZVirtioEntropyDeviceConfiguration alloc] init]];
        return nil;
    });
}
