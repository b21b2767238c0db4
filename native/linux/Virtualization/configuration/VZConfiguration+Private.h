// SPDX-License-Identifier: Apache-2.0
// What the configuration classes show to the rest of the implementation: how they are made and checked, and what a
// machine takes from them. Values other than an identifier are those of the moment of the call: validate first.
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// The longest command line, in bytes, that Linux keeps whole (COMMAND_LINE_SIZE less the terminating NUL; it is 2048
/// on x86 and arm64). What a machine adds to the user's counts.
enum { VZLinuxMaximumCommandLineLength = 2047 };

/// How many virtio devices QEMU's machine types hold: microvm has 24 virtio-mmio transports (with its second I/O APIC,
/// the default), of which the first, which QEMU takes last, is not used: its interrupt is pin 0 of that I/O APIC, and
/// QEMU 7.2 delivers pin 0 of every one to pin 2 (hw/intc/ioapic.c), so that a guest never hears it. q35 has 32 PCI
/// slots of which the host bridge and the chipset take two.
enum { VZMicrovmMaximumDeviceCount = 23, VZPCIMaximumDeviceCount = 30 };

/// How many ports QEMU's USB controller has at most.
enum { VZUSBMaximumDeviceCount = 15 };

/// How many ports QEMU's virtio-serial device has beside the first, which is kept for a console.
enum { VZVirtioConsoleMaximumPortCount = 510 };

/// Part of a VZVirtualMachineConfiguration.
@protocol VZConfigurationPart
/// Checks the object as the value of property, such as "serialPorts[0].attachment", with which the error's reason
/// begins. The abstract classes refuse: a class between them and what is implemented is nobody's.
- (BOOL)validateAs:(NSString *)property error:(NSError **)error;
@end

@class VZHostDirectory;
@class VZHostFile;

// -init is unavailable in these, as in Apple's headers; their subclasses and -copyWithZone: call -initForSubclass.
@interface VZBootLoader () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZPlatformConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZSerialPortConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZSerialPortAttachment () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZConsoleDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZConsolePortConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZStorageDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclassWithAttachment:(VZStorageDeviceAttachment *)attachment;
@end
@interface VZStorageDeviceAttachment () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end

/// Those attachments that are implemented have all of it.
@interface VZStorageDeviceAttachment (VZStorageDeviceData)
/// What holds the data, looked at as it will be used: a VZHostFile, or a text that is the same for the same data. nil
/// with an error whose reason begins with property.
- (nullable id)identityAs:(NSString *)property error:(NSError *_Nullable __autoreleasing *_Nullable)error;

/// The name of the property that says where the data is, and its value for an error's text.
@property (readonly) NSString *propertyOfData;
@property (readonly) NSString *shownData;

/// Whether the guest may write, as far as it is up to the host.
@property (readonly) BOOL isWritable;
@end

/// Refuses what is not a value of the enumeration.
extern BOOL VZValidateDiskSynchronizationMode(VZDiskSynchronizationMode mode,
                                              NSError *_Nullable __autoreleasing *_Nullable error);

@class VZNetworkBlockDeviceURL;

@interface VZNetworkBlockDeviceStorageDeviceAttachment ()
/// The parts of the URL.
@property (readonly) VZNetworkBlockDeviceURL *server;
@end

@interface VZUSBControllerConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZNetworkDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZNetworkDeviceAttachment () <VZConfigurationPart>
- (instancetype)initForSubclass;
/// What a frame holds at most beside its header, in bytes: 1500 unless a subclass says otherwise.
@property (readonly) NSInteger frameCapacity;
@end
@interface VZNATNetworkDeviceAttachment () <AppleVZNATExtensions>
/// Whether what the guest sends goes out, to the host and to whatever the host reaches. YES by default.
@property BOOL applevzHasInternet;
/// Whether it goes to this host, too. NO by default.
@property BOOL applevzReachesHost;
@end
@interface VZBridgedNetworkInterface () <AppleVZBridging>
@end
@interface VZAudioDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZVirtioSoundDeviceStreamConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZAudioInputStreamSource ()
- (instancetype)initForSubclass;
@end
@interface VZAudioOutputStreamSink ()
- (instancetype)initForSubclass;
@end
@interface VZEntropyDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZMemoryBalloonDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZDirectorySharingDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZDirectoryShare () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end

@interface VZSharedDirectory () <VZConfigurationPart>
/// The directory, held; nil with an error whose reason begins with property.
- (nullable VZHostDirectory *)openAs:(NSString *)property error:(NSError **)error;
@end

@interface VZGraphicsDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZGraphicsDisplayConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end

@interface VZKeyboardConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZPointingDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
/// Copies of the parts of a configuration.
extern NSArray *VZCopyOfParts(NSArray *parts);

@interface VZSocketDeviceConfiguration () <VZConfigurationPart>
- (instancetype)initForSubclass;
@end
@interface VZVirtioSocketDeviceConfiguration () <AppleVZSockets>
@end

/// Refuses an instance of a class that stands for no device, loader or attachment.
extern BOOL VZRefuseClass(id object, NSString *property, NSString *wanted, NSError **error);

@interface VZLinuxBootLoader () <AppleVZBootLoaderExtensions>
@property (readonly, nullable) NSString *kernelPath;

/// The kernel, which can be booted, and the RAM disk; nil with an error whose reason begins with property, which is the
/// boot loader's.
- (nullable VZHostFile *)openKernelAs:(NSString *)property error:(NSError **)error;
- (nullable VZHostFile *)openInitialRamdiskAs:(NSString *)property error:(NSError **)error;

/// Whether QEMULinuxCommandLine.h's words are added to commandLine; YES by default.
@property BOOL applevzAddsToCommandLine;

/// What the PC's serial port is connected to, of which the kernel is told; nil, the default, for none.
@property (nullable, strong) VZSerialPortAttachment *applevzEarlyConsoleAttachment;

/// The guest memory that the kernel and its RAM disk take once they are loaded, and the size of a memory with less than
/// which they do not start. NO if they cannot be read.
- (BOOL)getLoadedSize:(uint64_t *)loadedSize leastMemorySize:(uint64_t *)leastMemorySize;
@end

@interface VZEFIBootLoader () <AppleVZEFIBootLoaderExtensions>
@end

@interface VZEFIVariableStore () <VZConfigurationPart>
/// The file's absolute path without symbolic links.
@property (readonly, nullable) NSString *resolvedPath;

/// The file, which is a whole store; nil with an error whose reason begins with property.
- (nullable VZHostFile *)openAs:(NSString *)property error:(NSError **)error;

/// The same of one that no running machine has. Of the moment of a start: a machine can be made, and wait, before
/// another one of the same store has ended.
- (nullable VZHostFile *)openFreeAs:(NSString *)property error:(NSError **)error;
@end

@interface VZGenericPlatformConfiguration () <AppleVZPlatformExtensions>
/// Whether the guest finds a generation identifier, which is another one each time that the machine starts or is
/// restored, and its network cards can be exchanged when it is restored. NO by default.
@property BOOL applevzHasGenerationIdentifier;
@end

@interface VZGenericMachineIdentifier ()
@property (readonly) NSUUID *UUID;
@end

@interface VZVirtioConsolePortConfigurationArray ()
- (instancetype)initEmpty;
/// Where there are ports, in ascending order.
@property (readonly) NSArray<NSNumber *> *places;
@end

/// Whether the descriptor's file has both directions in one and cannot be opened again: a socket's, or a
/// pseudo-terminal's master, whose opening would make another terminal.
extern BOOL VZCannotBeReopened(int descriptor);

@interface VZFileHandleSerialPortAttachment ()
/// -1 for none. Belong to the handles: duplicate what is handed to another process.
@property (readonly) int readingFileDescriptor;
@property (readonly) int writingFileDescriptor;
@end

@interface VZFileSerialPortAttachment ()
@property (readonly, nullable) NSString *path;
@end

@class HostDescriptor, VZOpenedImage;

@interface VZDiskImageStorageDeviceAttachment () <AppleVZDiskImageExtensions>
/// The image's absolute path without symbolic links.
@property (readonly, nullable) NSString *resolvedPath;

/// Whether what the guest writes is gone with the machine; and the folder where it is until then, nil for the default.
@property (readonly) BOOL isEphemeral;
@property (readonly, nullable, copy) NSURL *overlayDirectoryURL;

/// Of which the image holds what differs: each holds what differs from the next one, and the last is raw. None where
/// the image is raw itself.
@property (readonly, copy) NSArray<NSURL *> *baseURLs;

/// Whether a saved state holds what the guest wrote to it.
@property (readonly) BOOL isCarried;

/// The image, opened as it will be used, and what lies below it for reading; nil with an error of
/// VZErrorInvalidDiskImage whose reason begins with property, or with that of the base which is wrong.
- (nullable VZOpenedImage *)openAs:(NSString *)property error:(NSError **)error;

/// A file without a name for what a guest writes, empty; nil with an error whose reason begins with property.
- (nullable HostDescriptor *)newOverlayFileAs:(NSString *)property error:(NSError **)error;
@end

@class VZNamedStorageDeviceAttachment;

@interface VZVirtualMachineConfiguration () <AppleVZConfigurationExtensions, AppleVZConfinementOfConfiguration,
                                             AppleVZResourceLimitsOfConfiguration>
/// The folder in whose file system the guest's memory is a file, without a name; nil, the default, for one in memory.
@property (nullable, copy) NSURL *applevzMemoryDirectoryURL;

/// Whether a guest that resets stops the machine.
@property BOOL applevzStopsAtReset;

/// What a start is refused without, and what is left out.
@property AppleVZConfinement applevzRequiredConfinement;
@property AppleVZConfinement applevzWaivedConfinement;

/// What its machines may take of the host.
@property (nonatomic) AppleVZResourceLimits applevzResourceLimits;
@property (nullable, copy) NSURL *applevzControlGroupURL;
@property (readonly, nullable) NSString *controlGroupPath;

/// Its path; nil where there is none.
@property (readonly, nullable) NSString *memoryDirectoryPath;

/// How many devices the machine has, each with a place of its own. Those on a USB controller have its.
@property (readonly) NSUInteger deviceCount;

/// All disks, by the names of their devices.
@property (readonly) NSArray<VZNamedStorageDeviceAttachment *> *storageAttachments;

/// How many devices need the machine to have a USB controller for them.
@property (readonly) NSUInteger USBDeviceCount;

/// Whether it has one that there is on a PCI bus only.
@property (readonly) BOOL needsPCI;
@end

@interface VZVirtualMachineConfiguration (ValidationParts)
/// Checks each element of an array, which is the value of property, and that none is there twice.
- (BOOL)validateParts:(NSArray *)parts as:(NSString *)property class:(Class)class error:(NSError **)error;
@end

@interface VZVirtualMachineConfiguration (Distinctness)
/// Checks what must not be there twice, once each part is known to be valid.
- (BOOL)validateDistinctnessWithError:(NSError **)error;
@end

@interface VZVirtualMachineConfiguration (DirectorySharing)
- (BOOL)validateDirectorySharingWithError:(NSError **)error;
@end

@interface VZVirtualMachineConfiguration (SaveRestore) <AppleVZSaveRestoreValidation>
/// Why no machine of it can be saved, of a configuration that is valid: its first device whose state nobody saves. nil
/// if it has no such device. Validation and saving both say this.
@property (readonly, nullable) NSError *saveError;
@end

NS_ASSUME_NONNULL_END
