// SPDX-License-Identifier: Apache-2.0
#import "QEMU/program/QMPConnection.h"
#import "QEMUCharacterBackend.h"
#import "support/HostDescriptor.h"
#import "QEMU/storage/QEMUCarriedDisk.h"
#import "QEMU/storage/QEMUStartedDisk.h"
#import <applevz_extensions.h>
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@class QEMUFileServer;
@class QEMUExpandedKernel;
@class QEMUSavedState;
@class QEMUUSBDisk;
@class QEMUDiskServer;
@class QEMUUser;

/// A QMP command that is sent before the guest runs.
@interface QEMUPreparation : NSObject
@property (readonly) NSString *command;
@property (readonly) NSDictionary *arguments;
/// What of the configuration it is for, to begin an error's reason with.
@property (readonly) NSString *property ;
/// What the command has QEMU open.
@property (readonly, nullable) QEMUCharacterBackend *backend;
@end

/// What QEMU is started with to be the machine of a configuration. No string of the user's is pasted into an option
/// that is taken apart again: it is an argument of its own, a value in JSON, or goes by QMP.
@interface QEMUCommandLine : NSObject

/// The configuration must be valid. nil, with an error, where a file it names can no longer be opened. Opens files and
/// asks programs, which takes its time: on any thread. With an expanded kernel the machine starts with that, which is
/// the configuration's own. With a saved state, which such a machine made, it waits for that before it can run.
- (nullable instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration
                                        kernel:(nullable QEMUExpandedKernel *)kernel
                                    savedState:(nullable QEMUSavedState *)savedState
                                         error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Without the program's name.
@property (readonly) NSArray<NSString *> *arguments;

/// What QEMU inherits, from QEMUFirstConfigurationDescriptor on.
@property (readonly) NSArray<HostDescriptor *> *descriptors;

/// Once QEMU has them they are no longer kept here: what ends with its last descriptor, as a tap device, is QEMU's to
/// end.
- (void)forgetDescriptors;

@property (readonly) NSArray<QEMUPreparation *> *preparations;

/// The file that holds the guest's memory and has no name, nil where the memory is a private mapping of a saved state.
@property (readonly, nullable) HostDescriptor *memory;

/// The processes that serve the directory sharing devices, in their order. QEMU waits for them before it answers.
@property (readonly) NSArray<QEMUFileServer *> *fileServers;

/// What device_add takes to make each of the network cards, where they can be exchanged while the machine runs;
/// otherwise empty.
@property (readonly) NSArray<NSDictionary *> *networkCards;

/// The host's interfaces that the network cards are connected to, by their indexes; of cards on a bridge.
@property (readonly) NSDictionary<NSNumber *, NSString *> *networkInterfaces;

/// What QEMU opens and locks, for the errors of a start.
@property (readonly) NSArray<QEMUStartedDisk *> *disks;

/// What a saved state is to hold of the disks.
@property (readonly) NSArray<QEMUCarriedDisk *> *carriedDisks;

/// Whether files take the place of disks' images once the machine is restored. That they do is the last step of it; NO,
/// with an error of VZErrorRestore.
@property (readonly) BOOL replacesImages;
- (BOOL)replaceImagesWithError:(NSError **)error;

/// Where QEMU writes what the display shows: a file in memory without a name, and its path in QEMU. nil without a
/// graphics device.
@property (readonly, nullable) HostDescriptor *screenshotFile;
@property (readonly, nullable) NSString *screenshotPath;
/// The devices of the USB controller with that index, in the order of the configuration.
- (NSArray<QEMUUSBDisk *> *)disksOfUSBController:(NSUInteger)index;

/// What the ports of the console devices are connected to, by QEMU's names for them.
@property (readonly) NSDictionary<NSString *, QEMUCharacterBackend *> *consolePorts;

/// What a port is connected to while its guest must not send; nil where none needs that.
@property (readonly, nullable) QEMUFullPipe *fullPipe;

/// Whether its guest begins anew; otherwise it waits for a saved state.
@property (readonly) BOOL isFresh;

/// QEMU's descriptor for the saved state's stream, which it reads from there on; 0 where it waits for none.
@property (readonly) NSUInteger incomingDescriptor;
@property (readonly) uint64_t incomingPosition;
/// Its file once more, where the user that QEMU runs as may not open it anew; nil where that user may.
@property (readonly, nullable) HostDescriptor *incomingFile;
- (void)forgetIncomingFile;

/// What the preparations say to QEMU's migration of memory that is a file: it is not in the stream. NO where they say
/// nothing.
@property (readonly) BOOL ignoresSharedMemory;

/// QEMU is gone, which has used what the machine's ports are connected to.
- (void)leaveCharacterBackends;

/// The number by which the guest's sockets are reached (QEMUSocketTransport); 0 where it has none.
@property (readonly) uint32_t socketGuest;

/// Whether QEMU may have to make sockets, at its start or for a device that comes later: of the Internet's protocols,
/// and of this host's.
@property (readonly) BOOL makesInternetSockets;
@property (readonly) BOOL makesLocalSockets;
/// What its network cards are connected to at its start, and whether one of those leads to this host, too.
@property (readonly) NSArray<VZNetworkDeviceAttachment *> *networkAttachments;
@property (readonly) BOOL reachesHost;
/// The servers of its disks, at its start.
@property (readonly) NSArray<QEMUDiskServer *> *diskServers;
/// Whether it plays sound.
@property (readonly) BOOL playsSound;
/// Of the descriptors: the one that QEMU opens anew for reading and writing, though it writes nothing, and the path by
/// which it does. nil for none.
@property (readonly, nullable) HostDescriptor *privateMemory;
@property (readonly, nullable) NSString *privateMemoryPath;
/// Of the descriptors: those that QEMU opens anew.
@property (readonly) NSArray<HostDescriptor *> *reopenedDescriptors;
/// Whom QEMU is to run as. nil for the user of this process, and then why.
@property (readonly, nullable) QEMUUser *user;
@property (readonly, nullable) NSError *userError;
/// What the configuration asks of the confinement.
@property (readonly) AppleVZConfinement requiredConfinement;
@property (readonly) AppleVZConfinement waivedConfinement;

/// What its machine may take of the host.
@property (readonly) AppleVZResourceLimits limits;
/// The folder of the control group in which its own is to be; nil where nobody names one.
@property (readonly, nullable) NSString *controlGroupPath;

/// What QEMU decides of a machine besides its configuration, and a saved state depends on: names and values.
@property (readonly) NSArray<NSArray<NSString *> *> *platformFields;

@end

/// QEMU's name for what is behind the disk with that index.
NSString *QEMUNameOfDisk(NSUInteger index);

/// QEMU's name for the graphics device.
extern NSString *const QEMUGraphicsDeviceIdentifier;

/// NO where the machine that was saved started with a bzImage as it is, so that one that is to go on from it has to,
/// too.
BOOL QEMUExpandsKernelForSavedState(QEMUSavedState *savedState);

/// QEMU's name for the port, and for the character device behind it.
NSString *QEMUNameOfConsolePort(NSUInteger device, NSUInteger port);

enum {
    /// The first of those that the configuration needs, behind that for QMP.
    QEMUFirstConfigurationDescriptor = QEMUControlDescriptor + 1,
};

NS_ASSUME_NONNULL_END
