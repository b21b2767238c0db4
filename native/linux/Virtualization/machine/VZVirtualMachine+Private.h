// SPDX-License-Identifier: Apache-2.0
#import "applevz_extensions.h"
#import "QEMU/boot/QEMUExpandedKernel.h"
#import "QEMU/process/QEMUInstance.h"
#import "QEMU/network/QEMUNetworkCardExchange.h"
#import "QEMU/storage/QEMUNetworkDiskWatch.h"
#import "QEMU/saved_states/QEMUSavedStateWriter.h"
#import "QEMU/display/QEMUScreenshots.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@class VZNamedStorageDeviceAttachment;

/// A device that does something while its machine runs. Everything happens on the machine's queue; the machine keeps
/// its devices, so that they hold no reference to it that would keep it.
@protocol VZRuntimeDevice <NSObject>
@optional
/// QEMU is about to be started, with what the configuration has at this moment.
- (void)instanceBegins:(QEMUInstance *)instance;
/// QEMU is ready to let the guest begin, or go on where it was saved; it does after all devices were told.
- (void)instanceReady:(QEMUInstance *)instance;
/// The guest runs, or is about to: it was started or resumed.
- (void)instanceRuns;
/// The guest still runs, and will be stopped next.
- (void)instanceWillPause;
/// QEMU said something, to all devices.
- (void)takeEvent:(NSString *)name data:(NSDictionary *)data;
/// QEMU has ended, or never came to be ready.
- (void)instanceEnded;
@end

@interface VZVirtualMachine () {
    VZVirtualMachineConfiguration *_configuration;
    NSArray<id<VZRuntimeDevice>> *_devices; // each kind in the order of the configuration
    QEMUInstance *_instance;                // from Starting or Restoring to the end of the process
    QEMUExpandedKernel *_kernel;            // what it was started with last, so that it is there for the next start
    QEMUCommandLine *_restoring; // what QEMU is started with in the state Restoring, until it reads the saved state
    QEMUStateStream *_stream;    // of a machine that was saved, while it is Paused and can be saved again
    QEMUNetworkCardExchange *_exchange; // of the cards of a machine that was restored with other addresses
    HostDescriptor *_formerMemory;      // of a machine that was stopped a moment ago: restoring overwrites it
    NSString *_lastState; // the identifier of the saved state that it was restored from or saved as last, in this run
    AppleVZConfinement _confinement;      // of the last that was started
    NSMutableSet<NSString *> *_fullDisks; // QEMU's names of those of which it was told, in this run
    BOOL _isHandedOver;                   // its memory may be a saved state's: it can be stopped, and nothing else
}

// What the categories share with the verbs in VZVirtualMachine.m.

/// Aborts off the machine's queue, in a debug build or where the environment asks for it.
- (void)checkQueue;
/// Begins a verb, or refuses it: a completion is never called before the call that it belongs to has returned.
- (BOOL)begin:(NSString *)verb
       allowed:(BOOL)allowed
          from:(NSString *)states
         state:(VZVirtualMachineState)state
    completion:(void (^)(NSError *_Nullable error))completion;
/// Files are read and written at the disk's pace, and programs are waited for; the machine's queue stays free, and has
/// the completion, with nil for YES. The block holds what it uses: the machine may go meanwhile.
- (void)doOffQueue:(BOOL (^)(NSError **error))action completion:(void (^)(NSError *_Nullable error))completion;
/// Makes what QEMU is started with, off the queue; nil, with an error, where that cannot be.
- (void)makeCommandLine:(nullable QEMUExpandedKernel *)kernel
             savedState:(nullable QEMUSavedState *)state
             completion:(void (^)(QEMUCommandLine *_Nullable commandLine, NSError *_Nullable error))completion;
/// Ends the verb under way. The state changes before the completion is called, which may begin the next verb.
- (void)finishInState:(VZVirtualMachineState)state error:(nullable NSError *)error;
/// Starts QEMU as _instance, which is nil again where that fails. From success on its end is taken care of.
- (void)startInstance:(QEMUCommandLine *)commandLine completion:(void (^)(NSError *_Nullable error))completion;
/// Tells the devices that _instance is ready.
- (void)tellDevicesOfInstance;
/// Tells the devices, those that want to hear it.
- (void)tellDevices:(SEL)message;
/// Forgets _instance, which has ended or is left, and tells the devices.
- (void)leaveInstance;

@end

/// VZErrorInvalidVirtualMachineState. The purpose completes "is invalid for": "saving".
NSError *VZInvalidStateError(VZVirtualMachineState state, NSString *purpose, NSString *suggestion);

@interface VZVirtualMachine (DevicesPrivate)
- (NSArray<id<VZRuntimeDevice>> *)devicesOfConfiguration;

/// Why nothing can be attached or detached ("attach", "detach") in the machine's present state; nil where it can.
- (nullable NSError *)errorOfExchangingDevices:(NSString *)verb;
/// What is attached to all its USB controllers, and what is about to be.
@property (readonly) NSArray<VZUSBMassStorageDevice *> *allUSBDevices;
/// All its disks as they are now, by the names of their devices.
@property (readonly) NSArray<VZNamedStorageDeviceAttachment *> *allStorageAttachments;
/// Why the devices that are attached stand against saving it; nil where they do not.
@property (readonly, nullable) NSString *reasonAgainstSavingDevices;
@end

@interface VZVirtualMachine (SaveRestorePrivate)
/// QEMU ended in the state Restoring.
- (void)restoringEnded:(QEMUEnd *)end;
@end

@interface VZVirtualMachine (ForkServer) <AppleVZForkServers>
@end

@interface VZVirtualMachine (Confinement) <AppleVZConfinedMachine>
@end

@interface VZVirtualMachine (Connections) <AppleVZConnections>
@end

@interface VZVirtualMachine (Graphics) <AppleVZScreenshots>
@end

@interface VZVirtualMachine (Input) <AppleVZInput>
@end

@interface VZVirtualMachine (Statistics) <AppleVZStatistics>
@end

@interface VZVirtualMachine (SaveRestore) <AppleVZSaveRestore, AppleVZSaveRestoreExtensions, AppleVZSavedStates>
@end

@interface VZConsoleDevice ()
- (instancetype)initForSubclass;
@end

@interface VZVirtioConsoleDevice () <VZRuntimeDevice>
- (instancetype)initWithIndex:(NSUInteger)index configuration:(VZVirtioConsoleDeviceConfiguration *)configuration;
@end

@interface VZVirtioConsolePort () <VZRuntimeDevice>
- (instancetype)initWithIdentifier:(NSString *)identifier
                     configuration:(VZVirtioConsolePortConfiguration *)configuration;
@end

@interface VZVirtioConsolePortArray ()
- (instancetype)initWithPorts:(NSDictionary<NSNumber *, VZVirtioConsolePort *> *)ports
             maximumPortCount:(uint32_t)maximumPortCount;
@end

@interface VZNetworkDevice () <VZRuntimeDevice>
- (instancetype)initWithIndex:(NSUInteger)index
                   attachment:(nullable VZNetworkDeviceAttachment *)attachment
                        queue:(dispatch_queue_t)queue;
/// The host's interface that it is connected to, of a card on a bridge.
@property (nullable, readonly) NSString *hostInterfaceName;
/// Called when its attachment could not stay, on the machine's queue.
@property (nullable, copy) void (^disconnectionHandler)(VZNetworkDevice *device, NSError *error);
@end

@interface QEMUNetworkDiskWatch () <VZRuntimeDevice>
@end

@interface VZDirectorySharingDevice ()
- (instancetype)initForSubclass;
@end

@interface VZVirtioFileSystemDevice () <VZRuntimeDevice, AppleVZDirectorySharing>
/// The configuration is the machine's own: what is set here holds for the next start, too.
- (instancetype)initWithIndex:(NSUInteger)index configuration:(VZVirtioFileSystemDeviceConfiguration *)configuration;
@end

@interface VZGraphicsDevice ()
- (instancetype)initWithDisplays:(NSArray<VZGraphicsDisplay *> *)displays;
@end

@interface VZVirtioGraphicsDevice () <VZRuntimeDevice>
- (instancetype)initWithConfiguration:(VZVirtioGraphicsDeviceConfiguration *)configuration;
/// nil while no QEMU is ready.
@property (nullable, readonly) QEMUScreenshots *screenshots;
@end

@interface VZGraphicsDisplay ()
- (instancetype)initWithSizeInPixels:(CGSize)size;
@end

@interface VZVirtioSocketDevice () <VZRuntimeDevice>
@end

@interface VZMemoryBalloonDevice ()
- (instancetype)initForSubclass;
@end

@interface VZVirtioTraditionalMemoryBalloonDevice () <VZRuntimeDevice>
- (instancetype)initWithMemorySize:(uint64_t)memorySize;
@end

@interface VZVirtualMachine (FullDisks)
/// QEMU said that a guest's request failed.
- (void)takeBlockError:(NSDictionary *)data;
@end

NS_ASSUME_NONNULL_END
