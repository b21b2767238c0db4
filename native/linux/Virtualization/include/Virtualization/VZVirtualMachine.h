// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

@class VZConsoleDevice;
@class VZDirectorySharingDevice;
@class VZGraphicsDevice;
@class VZMemoryBalloonDevice;
@class VZNetworkDevice;
@class VZSocketDevice;
@class VZUSBController;
@class VZVirtualMachineConfiguration;
@class VZVirtualMachineStartOptions;
@protocol VZVirtualMachineDelegate;

/// Where a machine is in its life.
typedef NS_ENUM(NSInteger, VZVirtualMachineState) {
    /// Not started yet, or ended.
    VZVirtualMachineStateStopped,

    /// The guest's processors run.
    VZVirtualMachineStateRunning,

    /// The guest's processors stand still; the machine keeps its memory.
    VZVirtualMachineStatePaused,

    /// The machine ended because of an error.
    VZVirtualMachineStateError,

    /// From Stopped to Running.
    VZVirtualMachineStateStarting,

    /// From Running to Paused.
    VZVirtualMachineStatePausing,

    /// From Paused to Running.
    VZVirtualMachineStateResuming,

    /// From Running or Paused to Stopped.
    VZVirtualMachineStateStopping API_AVAILABLE(macos(12.0)),

    /// From Paused to Paused, while the state is written to a file.
    VZVirtualMachineStateSaving API_AVAILABLE(macos(14.0)),

    /// From Stopped to Paused, while the state is read from a file.
    VZVirtualMachineStateRestoring API_AVAILABLE(macos(14.0)),
} API_AVAILABLE(macos(11.0));

/// One machine. Except for queue, everything is used on its queue, and it calls back there.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtualMachine : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// A machine that is used on the main queue. The configuration must be valid, and is copied.
- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration;

/// A machine that is used on queue, a serial one. The configuration must be valid, and is copied.
- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration
                                queue:(dispatch_queue_t)queue NS_DESIGNATED_INITIALIZER;

/// The queue on which the machine is used. This property can be read on any.
@property (readonly, strong) dispatch_queue_t queue API_AVAILABLE(macos(26.0));

/// Whether this host can run machines at all. If not, no configuration is valid, and its error says why.
@property (class, readonly, getter=isSupported) BOOL supported;

/// Where the machine is in its life. Can be observed.
@property (readonly) VZVirtualMachineState state;

@property (nullable, weak) id<VZVirtualMachineDelegate> delegate;

/// Which of the calls below the machine's state allows. These can be observed.
@property (readonly) BOOL canStart;
@property (readonly) BOOL canStop API_AVAILABLE(macos(12.0));
@property (readonly) BOOL canPause;
@property (readonly) BOOL canResume;
@property (readonly) BOOL canRequestStop;

/// The console devices of the configuration, in its order.
@property (readonly, copy) NSArray<VZConsoleDevice *> *consoleDevices API_AVAILABLE(macos(13.0));

/// The directory sharing devices of the configuration, in its order.
@property (readonly, copy) NSArray<VZDirectorySharingDevice *> *directorySharingDevices API_AVAILABLE(macos(12.0));

/// The network cards of the configuration, in its order.
@property (readonly, copy) NSArray<VZNetworkDevice *> *networkDevices API_AVAILABLE(macos(12.0));

/// The graphics cards of the configuration, in its order.
@property (readonly, copy) NSArray<VZGraphicsDevice *> *graphicsDevices API_AVAILABLE(macos(14.0));
/// The USB controllers of the configuration, in its order.
@property (readonly, copy) NSArray<VZUSBController *> *usbControllers API_AVAILABLE(macos(15.0));

/// The balloons of the configuration, in its order.
@property (readonly, copy) NSArray<VZMemoryBalloonDevice *> *memoryBalloonDevices;

/// The socket devices of the configuration, in its order.
@property (readonly, copy) NSArray<VZSocketDevice *> *socketDevices;

/// Starts a machine that is Stopped or in Error. The block gets nil once the guest runs.
- (void)startWithCompletionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler;

/// Starts it as options say.
- (void)startWithOptions:(VZVirtualMachineStartOptions *)options
       completionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler API_AVAILABLE(macos(13.0));

/// Ends a machine that is Running or Paused, without a word to its guest, which may lose data.
- (void)stopWithCompletionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler API_AVAILABLE(macos(12.0));

/// Makes a machine that is Running stand still.
- (void)pauseWithCompletionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler;

/// Lets a machine that is Paused run on.
- (void)resumeWithCompletionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler;

/// Asks the guest to turn itself off; YES if it was asked. Once it did, the delegate hears of it.
- (BOOL)requestStopWithError:(NSError **)error;

@end

// Apple's framework has it for Apple's processors alone.
#if defined(__arm64__) || !TARGET_OS_OSX
@interface VZVirtualMachine (VZSaveRestore)

/// Writes the machine's state to a new file at that URL, from which a machine of the same configuration can be
/// restored. Only a machine that is Paused can be saved; it is Saving meanwhile and Paused again afterwards, whether it
/// was saved or not (VZErrorSave). A file that is there already is not touched.
- (void)saveMachineStateToURL:(NSURL *)saveFileURL
            completionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler API_AVAILABLE(macos(14.0));

/// Brings a machine that is Stopped into the state that was saved, from which it can be resumed. It is Restoring
/// meanwhile, and Paused afterwards, or Stopped again where the state cannot be restored (VZErrorRestore).
- (void)restoreMachineStateFromURL:(NSURL *)saveFileURL
                 completionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler
    API_AVAILABLE(macos(14.0));

@end
#endif

NS_ASSUME_NONNULL_END
