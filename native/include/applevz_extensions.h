// SPDX-License-Identifier: Apache-2.0
// The contract between the bridge and a framework that offers more than Apple's. The bridge asks an object or a class
// with respondsToSelector: before it sends one of these, and takes a framework that has none of them at its documented
// word. The classes of native/linux adopt the protocols, so the compiler compares both sides with this file. Each
// protocol names the class that answers. All methods are required: whoever adopts a protocol has the whole of it.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

@class VZDirectoryShare, VZDiskImageStorageDeviceAttachment, VZSerialPortAttachment, VZVirtioSocketListener,
    VZVirtualMachineConfiguration;

#pragma mark - What the host can do

/// VZVirtualMachine, the class.
@protocol AppleVZMachineExtensions <NSObject>
/// Why no machine can be run here; nil where one can.
+ (nullable NSError *)applevzUnsupportedError;
/// Why machines are emulated here; nil where they run at the processor's own speed.
+ (nullable NSError *)applevzHardwareAccelerationError;
/// Why no directory can be shared with a guest; nil where one can.
+ (nullable NSError *)applevzDirectorySharingError;
/// Why no guest can have a sound device; nil where one can.
+ (nullable NSError *)applevzSoundError;
/// Why a capability, by its name in Python, is missing in the program that runs machines, which is asked for it; nil
/// where it has it. Takes long the first time: what a machine's start asks tells less.
+ (nullable NSError *)applevzErrorOfFeature:(NSString *)feature;
/// Nothing on this queue takes long or waits for another queue: its work may be done on whatever thread finds it.
+ (void)applevzServeQuickQueue:(dispatch_queue_t)queue;
@end

/// VZVirtualMachine, the class: what is told to the programs that run machines, and what they tell.
@protocol AppleVZLog <NSObject>
/// Whether lines are kept from here on. NO until it is set, and then what is kept is forgotten.
+ (void)applevzKeepLog:(BOOL)keep;
/// The lines that were kept since the last call, the oldest first, as JSON has them: an array for each, with the time
/// in seconds since 1970, what it is of, as "QEMU 1", what it is, as "sent", and its text, or an array of words. Of
/// more than are kept the oldest are lost.
+ (NSArray<NSArray *> *)applevzTakeLog;
@end

/// VZVirtualMachine, the class.
@protocol AppleVZForkServers <NSObject>
/// As long as somebody has what this gives, programs that run machines are copies of one that has loaded its libraries
/// and waits, where that can be. It is begun, if nobody has it, by loading the file at the URL before them. nil, with
/// an error, where it cannot be begun.
+ (nullable id)applevzForkServerWithLibraryURL:(NSURL *)url error:(NSError **)error;
@end

/// VZVirtioSocketDeviceConfiguration, the class.
@protocol AppleVZSockets <NSObject>
/// Why no guest can have sockets to this host; nil where one can.
+ (nullable NSError *)applevzSocketsError;
@end

/// VZBridgedNetworkInterface, the class.
@protocol AppleVZBridging <NSObject>
/// Why no network card can be connected to a network of the host's; nil where one can.
+ (nullable NSError *)applevzBridgingError;
@end

/// VZEFIBootLoader, the class.
@protocol AppleVZEFIBootLoaderExtensions <NSObject>
/// Why there is no EFI firmware for guests here; nil where there is.
+ (nullable NSError *)applevzUnsupportedError;
@end

#pragma mark - What a configuration can say

/// VZVirtualMachineConfiguration.
@protocol AppleVZConfigurationExtensions <NSObject>
/// The folder in whose file system the guest's memory is a file without a name. nil until it is set: a file in memory.
- (void)setApplevzMemoryDirectoryURL:(nullable NSURL *)url;
/// Whether a guest that resets stops the machine. NO until it is set. A framework that has it tells of resets
/// (applevz_guest_reports.h).
- (void)setApplevzStopsAtReset:(BOOL)stops;
@end

/// What keeps the program that runs a machine, which a guest may have taken over, from the rest of the host.
typedef NS_OPTIONS(NSUInteger, AppleVZConfinement) {
    /// It opens no file but those of its machine, its own, and a system's libraries.
    AppleVZConfinementFiles = 1,
    /// It makes no processes, sends no signals to others, changes no names, owners, modes or times of files, and calls
    /// none of the kernel's seldom used interfaces.
    AppleVZConfinementSystemCalls = 2,
    /// It makes no sockets of the Internet's protocols.
    AppleVZConfinementSockets = 4,
    /// It has none of the kernel's capabilities, and gets no rights from a program that it executes.
    AppleVZConfinementPrivileges = 8,
    /// It reaches no address of this host's, and sends nothing that others of its network get unasked.
    AppleVZConfinementHostAddresses = 16,
    /// It runs as a user that no other process has, and that owns no file.
    AppleVZConfinementUser = 32,
};

/// VZVirtualMachineConfiguration.
@protocol AppleVZConfinementOfConfiguration <NSObject>
/// A start is refused that cannot have all of the required; the waived is left out. 0 until they are set.
- (void)setApplevzRequiredConfinement:(AppleVZConfinement)required;
- (void)setApplevzWaivedConfinement:(AppleVZConfinement)waived;
@end

/// What a machine may take of the host at most; 0 for what has no limit.
typedef struct AppleVZResourceLimits {
    /// Of the host's processors, 1.5 for as much time as one and a half have, and memory in bytes: of all processes
    /// that run the machine. They take a control group.
    double processors;
    uint64_t memory;
    /// Bytes: how long the file may be with what a guest wrote to a disk that is ephemeral or has a base, of each.
    uint64_t overlaySize;
    /// Of all its disks together, read and written, but for those of servers.
    uint64_t diskBytesPerSecond;
    uint64_t diskOperationsPerSecond;
} AppleVZResourceLimits;

/// VZVirtualMachineConfiguration, and its class.
@protocol AppleVZResourceLimitsOfConfiguration <NSObject>
/// No limits until they are set.
- (void)setApplevzResourceLimits:(AppleVZResourceLimits)limits;
/// The folder of the control group in which a machine's own is made. nil until it is set: that which was delegated to
/// this process.
- (void)setApplevzControlGroupURL:(nullable NSURL *)url;
/// Why there is none that was delegated to it, with limits of both kinds; nil where there is.
+ (nullable NSError *)applevzControlGroupError;
@end

/// VZVirtualMachine, and its class.
@protocol AppleVZConfinedMachine <NSObject>
/// Why not all of it can be had on this host; nil where it can.
+ (nullable NSError *)applevzConfinementError;
/// Why no machine's program runs as a user of its own; nil where it does.
+ (nullable NSError *)applevzSeparateUsersError;
/// Of the machine's last start or restore.
@property (readonly) AppleVZConfinement applevzConfinement;
@end

/// VZGenericPlatformConfiguration.
@protocol AppleVZPlatformExtensions <NSObject>
/// Whether the guest finds a generation identifier, another one at each start and restore. NO until it is set.
- (void)setApplevzHasGenerationIdentifier:(BOOL)has;
/// Why nestedVirtualizationSupported is NO; nil where it is YES.
+ (nullable NSError *)applevzNestedVirtualizationError;
@end

/// Whether an image that is made of another one is a clone of it, which shares what nobody has changed since with it
/// and is a raw image as it.
typedef NS_ENUM(NSInteger, AppleVZCloning) {
    /// Where the file system can.
    AppleVZCloningIfPossible = 0,
    /// In any case; where the file system cannot it is refused.
    AppleVZCloningAlways = 1,
    /// Never: it is an image that holds what differs.
    AppleVZCloningNever = 2,
};

/// VZDiskImageStorageDeviceAttachment, the class.
@protocol AppleVZDiskImageExtensions <NSObject>
/// Makes an image that has what the first of the bases has, which is to stay as it is, and zeros behind that up to the
/// size, which is 0 for that of the base. Each of the bases holds what differs from the next one; the last is raw. The
/// image is whole or not there, and this user's alone; a file that is there is refused (EEXIST). A clone is of the kind
/// of its base: it lies on those that follow on that. NO with an error of VZErrorInvalidDiskImage.
+ (BOOL)applevzCreateImageAtURL:(NSURL *)url
                        ofBases:(NSArray<NSURL *> *)baseURLs
                           size:(uint64_t)size
                        cloning:(AppleVZCloning)cloning
                        isClone:(BOOL *)isClone
                          error:(NSError **)error;
/// As initWithURL:…, of an image that is an overlay or has one. With bases the image is one that holds what differs
/// from the first of them, and so on, as applevzCreateImageAtURL:… makes it, whatever is in them. With `ephemeral` the
/// image is opened for reading only, and what the guest writes goes to a file without a name in that folder, or in one
/// for temporary files, and is gone with the machine.
+ (nullable VZDiskImageStorageDeviceAttachment *)applevzAttachmentWithURL:(NSURL *)url
                                                                 baseURLs:(NSArray<NSURL *> *)baseURLs
                                                                ephemeral:(BOOL)ephemeral
                                                      overlayDirectoryURL:(nullable NSURL *)overlayDirectoryURL
                                                                 readOnly:(BOOL)readOnly
                                                              cachingMode:(NSInteger)cachingMode
                                                      synchronizationMode:(NSInteger)synchronizationMode
                                                                    error:(NSError **)error;
@end

/// VZNATNetworkDeviceAttachment.
@protocol AppleVZNATExtensions <NSObject>
/// Whether what the guest sends goes out, to the host and to whatever the host reaches. YES until it is set.
/// Connections to the guest are made all the same.
- (void)setApplevzHasInternet:(BOOL)has;
/// Whether it goes to this host, too: to its loopback addresses, and to its own. NO until it is set.
- (void)setApplevzReachesHost:(BOOL)reaches;
/// Why guests are not kept from this host; nil where they are.
+ (nullable NSError *)applevzHostIsolationError;
@end

/// VZLinuxBootLoader.
@protocol AppleVZBootLoaderExtensions <NSObject>
/// The words that would be added to a kernel's command line.
+ (NSString *)applevzCommandLineAdditions;
/// Whether they are. YES until it is set.
- (void)setApplevzAddsToCommandLine:(BOOL)adds;
/// Where the kernel prints until it has a driver for its console; nil until it is set. It finds the device by a word
/// that is added to its command line.
- (void)setApplevzEarlyConsoleAttachment:(nullable VZSerialPortAttachment *)attachment;
/// Whether validation, and the start, look into the kernel, and refuse by name one that would not be booted.
+ (BOOL)applevzValidatesKernels;
@end

#pragma mark - What a machine that runs can do

/// VZVirtualMachine.
@protocol AppleVZConnections <NSObject>
/// Connects to a TCP port of a running machine's guest on its first NAT network, for a framework whose guests have no
/// address that the host reaches. The descriptor is the caller's; -1 with an error, which comes soon once it is not
/// wanted any more.
- (void)applevzConnectToPort:(uint16_t)port
                 whileWanted:(BOOL (^)(void))isWanted
           completionHandler:(void (^)(int descriptor, NSError *_Nullable error))handler;
@end

/// VZVirtualMachine.
@protocol AppleVZScreenshots <NSObject>
/// What the first display shows, of a machine that is running or paused. The descriptor is the caller's, of a file
/// without a name that holds a PNG image from its beginning on; -1 with an error.
- (void)applevzTakeScreenshotWithCompletionHandler:(void (^)(int descriptor, NSError *_Nullable error))handler;
@end

/// VZVirtualMachine.
@protocol AppleVZStatistics <NSObject>
/// What is known of the machine as it runs, as applevz.h describes it. Nothing of one that does not run, and nothing
/// that cannot be had.
- (void)applevzTakeStatisticsWithCompletionHandler:(void (^)(NSDictionary<NSString *, id> *statistics))handler;
@end

/// VZVirtualMachine. Each sends one event to the guest of a running machine, and completes once the machine has it.
@protocol AppleVZInput <NSObject>
/// The key with a usage of page 7 of the USB's HID Usage Tables.
- (void)applevzSendKey:(NSUInteger)usage down:(BOOL)down completionHandler:(void (^)(NSError *_Nullable error))handler;
/// Parts of the display's width and height, from 0 to less than 1.
- (void)applevzMovePointerToX:(double)x y:(double)y completionHandler:(void (^)(NSError *_Nullable error))handler;
/// 0 left, 1 right, 2 middle.
- (void)applevzSendPointerButton:(NSUInteger)button
                            down:(BOOL)down
               completionHandler:(void (^)(NSError *_Nullable error))handler;
/// One notch of the wheel.
- (void)applevzScrollUp:(BOOL)up completionHandler:(void (^)(NSError *_Nullable error))handler;
@end

/// VZVirtioFileSystemDevice.
@protocol AppleVZDirectorySharing <NSObject>
/// Sets share, or refuses it with an error where the property would raise.
- (BOOL)applevzSetShare:(nullable VZDirectoryShare *)share error:(NSError **)error;
@end

/// VZVirtioSocketDevice.
@protocol AppleVZSocketListening <NSObject>
/// As setSocketListener:forPort:, and says why where it cannot be.
- (BOOL)applevzSetSocketListener:(VZVirtioSocketListener *)listener forPort:(uint32_t)port error:(NSError **)error;
@end

#pragma mark - Saved states

/// VZVirtualMachine. Both are Apple's own, from macOS 14 on and on Apple's processors only: its headers do not declare
/// them for others.
@protocol AppleVZSaveRestore <NSObject>
- (void)saveMachineStateToURL:(NSURL *)url completionHandler:(void (^)(NSError *_Nullable error))completion;
- (void)restoreMachineStateFromURL:(NSURL *)url completionHandler:(void (^)(NSError *_Nullable error))completion;
@end

/// VZVirtualMachineConfiguration. Apple's own, as those.
@protocol AppleVZSaveRestoreValidation <NSObject>
- (BOOL)validateSaveRestoreSupportWithError:(NSError **)error;
@end

/// VZVirtualMachine.
@protocol AppleVZSaveRestoreExtensions <NSObject>
/// As saveMachineStateToURL:, and the file is whole or not there, whatever fails, and the end of this process too; one
/// that is there already is refused (EEXIST), or else replaced in one step, as an AppleVZSavedStateFile does it. A
/// machine that hands over its memory will not run again where that succeeds, and the memory may become part of the
/// file as it is: it is Paused then, and can only be stopped.
- (void)applevzSaveMachineStateToURL:(NSURL *)url
                         overwriting:(BOOL)overwriting
                   handingOverMemory:(BOOL)handingOverMemory
                   completionHandler:(void (^)(NSError *_Nullable error))completion;
/// As restoreMachineStateFromURL:, by mapping the file privately rather than copying what is in it. It must then stay
/// as it is while the machine runs, and can be shared by many.
- (void)applevzRestoreMachineStateByMappingURL:(NSURL *)url
                             completionHandler:(void (^)(NSError *_Nullable error))completion;
@end

/// A saved state that is looked into. Any thread may use it.
@protocol AppleVZSavedState <NSObject>
/// What it says of itself, as applevz.h describes it.
- (NSDictionary<NSString *, id> *)applevzDescription;
/// Checks what follows on what was checked before, and holds at most so many bytes, or a little more. `done` are the
/// bytes that are behind it then, up to the length of the file. NO with an error of VZErrorRestore for a file that is
/// damaged, or cannot be read.
- (BOOL)applevzCheckNext:(uint64_t)length done:(uint64_t *)done error:(NSError **)error;
/// Why a machine of the configuration would refuse to be restored from it by mapping it; nil if it would not. Opens
/// what a restore opens, and takes as long.
- (nullable NSError *)applevzErrorForConfiguration:(VZVirtualMachineConfiguration *)configuration;
@end

/// VZVirtualMachine, the class.
@protocol AppleVZSavedStates <NSObject>
/// Opens one for reading. nil with an error of VZErrorRestore; without one, and isState NO, for a file that has not the
/// end of a saved state.
+ (nullable id<AppleVZSavedState>)applevzSavedStateAtURL:(NSURL *)url isState:(BOOL *)isState error:(NSError **)error;
@end

NS_ASSUME_NONNULL_END
