// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZBootLoader;
@class VZAudioDeviceConfiguration;
@class VZConsoleDeviceConfiguration;
@class VZDirectorySharingDeviceConfiguration;
@class VZEntropyDeviceConfiguration;
@class VZGraphicsDeviceConfiguration;
@class VZKeyboardConfiguration;
@class VZMemoryBalloonDeviceConfiguration;
@class VZNetworkDeviceConfiguration;
@class VZPlatformConfiguration;
@class VZPointingDeviceConfiguration;
@class VZSerialPortConfiguration;
@class VZSocketDeviceConfiguration;
@class VZStorageDeviceConfiguration;
@class VZUSBControllerConfiguration;

/// What a machine is made of. A copy, such as the one a VZVirtualMachine keeps, has copies of all the devices: changes
/// to the original do not reach it.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtualMachineConfiguration : NSObject<NSCopying>

/// How the machine starts. A machine needs one; the default is nil.
@property (nullable, strong) VZBootLoader *bootLoader;

/// The guest's memory in bytes: a multiple of 1 MiB within the allowed range, whose minimum is the default.
@property uint64_t memorySize;

/// The number of processors: within the allowed range, whose minimum is the default.
@property NSUInteger CPUCount;

/// A VZGenericPlatformConfiguration by default.
@property (strong) VZPlatformConfiguration *platform API_AVAILABLE(macos(12.0));

/// The devices of each kind, none by default.
@property (copy) NSArray<VZAudioDeviceConfiguration *> *audioDevices API_AVAILABLE(macos(12.0));
@property (copy) NSArray<VZConsoleDeviceConfiguration *> *consoleDevices API_AVAILABLE(macos(13.0));
@property (copy) NSArray<VZDirectorySharingDeviceConfiguration *> *directorySharingDevices API_AVAILABLE(macos(12.0));
@property (copy) NSArray<VZEntropyDeviceConfiguration *> *entropyDevices;
@property (copy) NSArray<VZGraphicsDeviceConfiguration *> *graphicsDevices API_AVAILABLE(macos(12.0));
@property (copy) NSArray<VZKeyboardConfiguration *> *keyboards API_AVAILABLE(macos(12.0));
@property (copy) NSArray<VZMemoryBalloonDeviceConfiguration *> *memoryBalloonDevices;
@property (copy) NSArray<VZNetworkDeviceConfiguration *> *networkDevices;
@property (copy) NSArray<VZPointingDeviceConfiguration *> *pointingDevices API_AVAILABLE(macos(12.0));
@property (copy) NSArray<VZSerialPortConfiguration *> *serialPorts;
@property (copy) NSArray<VZSocketDeviceConfiguration *> *socketDevices;
@property (copy) NSArray<VZStorageDeviceConfiguration *> *storageDevices;

/// USB controllers to which devices can be attached while the machine is there, none by default. USB devices in other
/// properties have a controller of their own.
@property (copy) NSArray<VZUSBControllerConfiguration *> *usbControllers API_AVAILABLE(macos(15.0));

@end

@interface VZVirtualMachineConfiguration (VZVirtualMachineConfigurationValidation)

/// Whether a machine can be made of this configuration on this host now. If not, error says which part of it, with
/// which value, stands against it. Files are looked at again each time.
- (BOOL)validateWithError:(NSError **)error;

/// The range of memorySize, in bytes.
@property (class, readonly) uint64_t minimumAllowedMemorySize;
@property (class, readonly) uint64_t maximumAllowedMemorySize;

/// The range of CPUCount.
@property (class, readonly) NSUInteger minimumAllowedCPUCount;
@property (class, readonly) NSUInteger maximumAllowedCPUCount;

@end

@interface VZVirtualMachineConfiguration (VZSaveRestore)

// Apple's framework has it for Apple's processors alone.
#if defined(__arm64__) || !TARGET_OS_OSX
/// Whether a machine of this configuration could be saved and restored. If not, error says why.
- (BOOL)validateSaveRestoreSupportWithError:(NSError **)error API_AVAILABLE(macos(14.0));
#endif

@end

NS_ASSUME_NONNULL_END
