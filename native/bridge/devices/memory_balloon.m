// SPDX-License-Identifier: Apache-2.0
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "machine/machine.h"
#import "boundary/ownership.h"
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

static NSError *access_balloon(applevz_machine *machine, size_t index,
                               NSError *_Nullable (^block)(VZVirtioTraditionalMemoryBalloonDevice *balloon)) {
    return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
        NSArray<VZMemoryBalloonDevice *> *balloons = object.memoryBalloonDevices;
        if (index < balloons.count)
            return block((VZVirtioTraditionalMemoryBalloonDevice *)balloons[index]);
        return applevz_no_such_index(@"There is no such memory balloon.", index, balloons.count,
                                     @"Add a memory balloon to the configuration.");
    }];
}

CFErrorRef applevz_machine_memory_balloon_count(applevz_machine *machine, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
            *count = object.memoryBalloonDevices.count;
            return nil;
        }];
    });
}

CFErrorRef applevz_machine_memory_balloon_target(applevz_machine *machine, size_t index, uint64_t *bytes) {
    return applevz_guard(^NSError *_Nullable {
        return access_balloon(machine, index, ^NSError *(VZVirtioTraditionalMemoryBalloonDevice *balloon) {
            *bytes = balloon.targetVirtualMachineMemorySize;
            return nil;
        });
    });
}

CFErrorRef applevz_machine_set_memory_balloon_target(applevz_machine *machine, size_t index, uint64_t bytes) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *object = applevz_borrowed(AppleVZMachine, machine);
        uint64_t minimum = VZVirtualMachineConfiguration.minimumAllowedMemorySize;
        // The framework takes the nearest allowed size without a word.
        if (bytes < minimum || bytes > object.memorySize)
            return applevz_invalid_argument(
                @"Invalid target of the memory balloon.",
                [NSString
                    stringWithFormat:@"target_virtual_machine_memory_size is %llu bytes.", (unsigned long long)bytes],
                [NSString stringWithFormat:@"Give a size from %llu, the least that a machine can have, to %llu, this "
                                           @"machine's memory.",
                                           (unsigned long long)minimum, (unsigned long long)object.memorySize]);
        return access_balloon(machine, index, ^NSError *(VZVirtioTraditionalMemoryBalloonDevice *balloon) {
            balloon.targetVirtualMachineMemorySize = bytes;
            return nil;
        });
    });
}
