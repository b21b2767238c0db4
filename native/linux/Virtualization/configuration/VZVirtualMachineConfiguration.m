// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "host/confinement/HostControlGroup.h"
#import "support/VZHostFile+Private.h"

// Copies of the parts, but one copy for a part that is there twice: that is an error, and stays one in the copy.
NSArray *VZCopyOfParts(NSArray *parts) {
    NSMutableArray *copies = [[NSMutableArray alloc] init];
    for (id part in parts) {
        NSUInteger earlier = [parts indexOfObjectIdenticalTo:part];
        [copies addObject:earlier < copies.count ? copies[earlier] : [part copy]];
    }
    return copies;
}

@implementation VZVirtualMachineConfiguration

- (instancetype)init {
    if ((self = [super init])) {
        _memorySize = VZVirtualMachineConfiguration.minimumAllowedMemorySize;
        _CPUCount = VZVirtualMachineConfiguration.minimumAllowedCPUCount;
        _platform = [[VZGenericPlatformConfiguration alloc] init];
        _audioDevices = @[];
        _consoleDevices = @[];
        _directorySharingDevices = @[];
        _entropyDevices = @[];
        _graphicsDevices = @[];
        _keyboards = @[];
        _memoryBalloonDevices = @[];
        _networkDevices = @[];
        _pointingDevices = @[];
        _serialPorts = @[];
        _socketDevices = @[];
        _storageDevices = @[];
        _usbControllers = @[];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtualMachineConfiguration *copy = [[[self class] allocWithZone:zone] init];
    copy.bootLoader = [self.bootLoader copy];
    copy.memorySize = self.memorySize;
    copy.CPUCount = self.CPUCount;
    copy.platform = [self.platform copy];
    copy.audioDevices = VZCopyOfParts(self.audioDevices);
    copy.consoleDevices = VZCopyOfParts(self.consoleDevices);
    copy.directorySharingDevices = VZCopyOfParts(self.directorySharingDevices);
    copy.entropyDevices = VZCopyOfParts(self.entropyDevices);
    copy.graphicsDevices = VZCopyOfParts(self.graphicsDevices);
    copy.keyboards = VZCopyOfParts(self.keyboards);
    copy.memoryBalloonDevices = VZCopyOfParts(self.memoryBalloonDevices);
    copy.networkDevices = VZCopyOfParts(self.networkDevices);
    copy.pointingDevices = VZCopyOfParts(self.pointingDevices);
    copy.serialPorts = VZCopyOfParts(self.serialPorts);
    copy.socketDevices = VZCopyOfParts(self.socketDevices);
    copy.storageDevices = VZCopyOfParts(self.storageDevices);
    copy.usbControllers = VZCopyOfParts(self.usbControllers);
    copy.applevzMemoryDirectoryURL = self.applevzMemoryDirectoryURL;
    copy.applevzStopsAtReset = self.applevzStopsAtReset;
    copy.applevzRequiredConfinement = self.applevzRequiredConfinement;
    copy.applevzWaivedConfinement = self.applevzWaivedConfinement;
    copy.applevzResourceLimits = self.applevzResourceLimits;
    copy.applevzControlGroupURL = self.applevzControlGroupURL;
    return copy;
}

- (NSString *)memoryDirectoryPath {
    NSString *reason = nil;
    return self.applevzMemoryDirectoryURL ? VZPathOfFileURL(self.applevzMemoryDirectoryURL, &reason) : nil;
}

+ (NSError *)applevzControlGroupError {
    return [HostControlGroup missingError];
}

- (NSString *)controlGroupPath {
    NSString *reason = nil;
    return self.applevzControlGroupURL ? VZPathOfFileURL(self.applevzControlGroupURL, &reason) : nil;
}

- (NSUInteger)deviceCount {
    NSUInteger onUSB = [self countOfStorageDevices:[VZUSBMassStorageDeviceConfiguration class]];
    return self.audioDevices.count + self.consoleDevices.count + self.directorySharingDevices.count +
           self.entropyDevices.count + self.graphicsDevices.count + self.memoryBalloonDevices.count +
           self.networkDevices.count + self.serialPorts.count + self.socketDevices.count + self.storageDevices.count -
           onUSB + (self.USBDeviceCount > 0 ? 1 : 0) + self.usbControllers.count;
}

- (NSUInteger)USBDeviceCount {
    return [self countOfStorageDevices:[VZUSBMassStorageDeviceConfiguration class]] + self.keyboards.count +
           self.pointingDevices.count;
}

- (NSUInteger)countOfStorageDevices:(Class)class {
    NSUInteger count = 0;
    for (VZStorageDeviceConfiguration *device in self.storageDevices) {
        count += [device isKindOfClass:class] ? 1 : 0;
    }
    return count;
}

- (BOOL)needsPCI {
    return self.USBDeviceCount > 0 || self.usbControllers.count > 0 || self.audioDevices.count > 0 ||
           [self countOfStorageDevices:[VZNVMExpressControllerDeviceConfiguration class]] > 0;
}

@end
