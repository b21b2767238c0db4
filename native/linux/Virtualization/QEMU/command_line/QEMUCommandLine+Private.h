// SPDX-License-Identifier: Apache-2.0
// What the parts of the command line, one file for each kind of device, share. Each adds its devices in the order of
// the configuration.
#import "QEMUCommandLine.h"
#import "QEMU/storage/QEMUUSBDisk.h"

@class VZHostFile, VZNewFile;

NS_ASSUME_NONNULL_BEGIN

@interface QEMUPreparation ()
@property (readwrite, nullable) QEMUCharacterBackend *backend;
/// property is the part of the configuration that the command is for, such as "serialPorts[0].attachment".
- (instancetype)initWithCommand:(NSString *)command arguments:(NSDictionary *)arguments property:(NSString *)property;
@end

@interface QEMUCommandLine () {
    NSMutableArray<NSString *> *_arguments;
    NSMutableArray<HostDescriptor *> *_descriptors;
    NSMutableArray<QEMUPreparation *> *_preparations;
    NSMutableArray<NSDictionary *> *_networkCards;
    NSMutableDictionary<NSNumber *, NSString *> *_networkInterfaces;
    NSMutableArray<NSArray<NSString *> *> *_platformFields;
    NSMutableArray<QEMUStartedDisk *> *_disks;
    NSMutableArray<QEMUCarriedDisk *> *_carriedDisks;
    NSMutableArray<VZNewFile *> *_replacements;
    QEMUSavedState *_savedState; // while the command line is made
    NSMutableArray<QEMUFileServer *> *_fileServers;
    HostDescriptor *_screenshotFile;
    NSString *_screenshotPath;
    NSMutableArray<NSMutableArray<QEMUUSBDisk *> *> *_disksOfUSBControllers;
    NSMutableArray<QEMUCharacterBackend *> *_characterBackends;
    NSMutableDictionary<NSString *, QEMUCharacterBackend *> *_consolePorts;
    QEMUFullPipe *_fullPipe;
    BOOL _microvm;
    BOOL _hasFirmware; // in flash memory, with variables
    BOOL _hasBzImage;  // which QEMU enters as it is
    uint64_t _firmwareSize;
    BOOL _isExchangeable; // there is a generation identifier, and network cards are in places of their own
    NSUInteger _deviceCount;
    NSUInteger _USBDeviceCount; // on the controller that is there for all USB devices without one of their own
    uint32_t _socketGuest;
    BOOL _makesInternetSockets;
    BOOL _makesLocalSockets;
    NSMutableArray<QEMUDiskServer *> *_diskServers;
    BOOL _playsSound;
    HostDescriptor *_privateMemory;
    NSString *_privateMemoryPath;
    NSMutableArray<HostDescriptor *> *_reopenedDescriptors;
    QEMUUser *_user;
    AppleVZResourceLimits _limits;
}

- (void)add:(NSString *)option value:(NSString *)value;

/// A virtio device at the next place: on microvm the one that QEMU takes by itself, from the last transport down, which
/// is the order in which a guest finds them; on PCI one that is named, since a guest goes by the slots' numbers.
- (void)addDevice:(NSString *)driver properties:(NSDictionary *)properties;

/// A virtio device in a PCI Express port of its own, which the guest lets be taken out and put in. Gives what it is
/// made of.
- (NSDictionary *)addExchangeableDevice:(NSString *)driver properties:(NSDictionary *)properties;

/// A device that is not a virtio one, at the next place of the PCI bus.
- (void)addPCIDevice:(NSString *)driver properties:(NSDictionary *)properties;

/// Hands a descriptor over, and gives its number in QEMU.
- (NSUInteger)inherit:(HostDescriptor *)descriptor;

/// The path that stands for a descriptor in QEMU, which takes it as it is and opens nothing.
- (NSString *)pathOfDescriptor:(HostDescriptor *)descriptor;

/// The path by which QEMU opens the file of a descriptor anew, as often as it wants to, each time with a position and
/// locks of its own. No path of a user's reaches QEMU: it may mean something else there, and lead to something else by
/// then.
- (NSString *)pathToReopen:(HostDescriptor *)descriptor;

/// What pathOfDescriptor: gives, with a position and locks of QEMU's own, where the user that it runs as may not open
/// the file anew; otherwise what pathToReopen: gives. nil where this process may not, either.
- (nullable NSString *)pathToUse:(HostDescriptor *)descriptor error:(NSError **)error;

/// What these give of a file that was looked at. nil, with an error of a start's.
- (nullable NSString *)pathToUseFile:(VZHostFile *)file as:(NSString *)property error:(NSError **)error;
- (nullable NSString *)pathToReopenFile:(VZHostFile *)file as:(NSString *)property error:(NSError **)error;

@end

@interface QEMUCommandLine (BootLoader)
/// Says what kind of machine it is, too.
- (BOOL)addBootLoader:(VZVirtualMachineConfiguration *)configuration
               kernel:(nullable QEMUExpandedKernel *)kernel
                error:(NSError **)error;
/// What a saved state depends on of it.
- (void)addBootLoaderFields:(VZVirtualMachineConfiguration *)configuration kernel:(nullable QEMUExpandedKernel *)kernel;
@end

@interface QEMUCommandLine (SerialPorts)
- (BOOL)addEarlyConsole:(nullable VZBootLoader *)bootLoader error:(NSError **)error;
- (BOOL)addSerialPorts:(NSArray<VZSerialPortConfiguration *> *)ports error:(NSError **)error;

- (nullable QEMUCharacterBackend *)backendOfAttachment:(nullable VZSerialPortAttachment *)attachment
                                              property:(NSString *)property
                                                 error:(NSError **)error;

/// Options are the backend's, or those of another that is there until it is wanted.
- (void)addCharacterDevice:(NSString *)identifier
                   backend:(QEMUCharacterBackend *)backend
                   options:(NSDictionary *)options
                  property:(NSString *)property;
@end

@interface QEMUCommandLine (ConsoleDevices)
/// A machine that is waiting for a saved state has its ports held: nothing of that state is to go anywhere before it
/// runs.
- (BOOL)addConsoleDevices:(NSArray<VZConsoleDeviceConfiguration *> *)devices
                  waiting:(BOOL)waiting
                    error:(NSError **)error;
@end

@interface QEMUCommandLine (StorageDevices)
- (BOOL)addStorageDevices:(NSArray<VZStorageDeviceConfiguration *> *)devices error:(NSError **)error;
/// What is behind a disk. property is the attachment's. With `sets` the disk can go while the machine runs: they are
/// what QEMU has to close then.
- (BOOL)addBlockNode:(NSString *)name
                  of:(VZStorageDeviceAttachment *)attachment
                  as:(NSString *)property
                sets:(NSArray<NSNumber *> *_Nullable *_Nullable)sets
               error:(NSError **)error;
@end

@interface QEMUCommandLine (USBDevices)
/// The controllers of the configuration, each with its devices.
- (BOOL)addUSBControllers:(NSArray<VZUSBControllerConfiguration *> *)controllers error:(NSError **)error;
/// A USB device at the next port of the machine's USB controller, which is added with the first, at the next place of
/// the PCI bus.
- (void)addUSBDevice:(NSString *)driver properties:(NSDictionary *)properties;
@end

@interface QEMUCommandLine (NetworkDevices)
- (BOOL)addNetworkDevices:(NSArray<VZNetworkDeviceConfiguration *> *)devices error:(NSError **)error;
@end

@interface QEMUCommandLine (DirectorySharing)
- (BOOL)addDirectorySharingDevices:(NSArray<VZDirectorySharingDeviceConfiguration *> *)devices error:(NSError **)error;
@end

@interface QEMUCommandLine (GraphicsDevices)
- (BOOL)addGraphicsDevices:(NSArray<VZGraphicsDeviceConfiguration *> *)devices error:(NSError **)error;
@end

@interface QEMUCommandLine (InputDevices)
- (void)addInputDevices:(VZVirtualMachineConfiguration *)configuration;
@end

@interface QEMUCommandLine (SocketDevices)
- (BOOL)addSocketDevices:(NSArray<VZSocketDeviceConfiguration *> *)devices error:(NSError **)error;
@end

/// The value of an option in JSON, which is where a user's string may stand in one.
NSString *QEMUOptionOfObject(NSDictionary *object);

/// A start's error for a file that can no longer be opened.
void QEMUCannotOpen(NSError *_Nullable *_Nullable error, NSString *property, NSError *cause);

NS_ASSUME_NONNULL_END
