// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// What a platform may tell beyond the framework's own interface. The bridge asks with respondsToSelector:, so a framework
// that knows nothing of it is taken at its documented word.

@protocol AppleVZMachineExtensions <NSObject>
@optional
/// Why no machine can be run here; nil where one can.
+ (nullable NSError *)applevzUnsupportedError;
/// Why machines are emulated here; nil where they run at the processor's own speed.
+ (nullable NSError *)applevzHardwareAccelerationError;
/// Nothing on this queue takes long or waits for another queue: its work may be done on whatever thread finds it.
+ (void)applevzServeQuickQueue:(dispatch_queue_t)queue;
/// Why no directory can be shared with a guest; nil where one can.
+ (nullable NSError *)applevzDirectorySharingError;
/// Why no guest can have a sound device; nil where one can.
+ (nullable NSError *)applevzSoundError;
@end

@protocol AppleVZConfigurationExtensions <NSObject>
@optional
/// The folder in whose file system the guest's memory is a file without a name.
- (void)setApplevzMemoryDirectoryURL:(nullable NSURL *)url;
@end

/// Why the guest's memory cannot be a file in a folder; nil where it can.
NSError *_Nullable applevz_memory_directory_missing(void);

@protocol AppleVZPlatformExtensions <NSObject>
@optional
/// Whether the guest finds a generation identifier, another one at each start and restore. NO until it is set.
- (void)setApplevzHasGenerationIdentifier:(BOOL)has;
/// Why nestedVirtualizationSupported is NO; nil where it is YES.
+ (nullable NSError *)applevzNestedVirtualizationError;
@end

/// Why a guest cannot have a generation identifier; nil where it can.
NSError *_Nullable applevz_generation_identifier_missing(void);

/// Why a guest cannot run machines of its own; nil where it can.
NSError *_Nullable applevz_nested_virtualization_missing(void);

@protocol AppleVZBootLoaderExtensions <NSObject>
@optional
/// The words that would be added to a kernel's command line.
+ (NSString *)applevzCommandLineAdditions;
/// Whether they are. YES until it is set.
- (void)setApplevzAddsToCommandLine:(BOOL)adds;
@end

@protocol AppleVZEFIBootLoaderExtensions <NSObject>
@optional
/// Why there is no EFI firmware for guests here; nil where there is.
+ (nullable NSError *)applevzUnsupportedError;
@end

/// Why no guest can be booted by EFI firmware; nil where one can.
NSError *_Nullable applevz_efi_missing(void);

@protocol AppleVZConnections <NSObject>
@optional
/// Connects to a TCP port of a running machine's guest on its first NAT network, for a framework whose guests have no address
/// that the host reaches. The descriptor is the caller's; -1 with an error.
- (void)applevzConnectToPort:(uint16_t)port completionHandler:(void (^)(int descriptor, NSError *_Nullable error))handler;
@end

@protocol AppleVZDirectorySharing <NSObject>
@optional
/// Sets VZVirtioFileSystemDevice.share, or refuses it with an error where the property would raise.
- (BOOL)applevzSetShare:(nullable id)share error:(NSError **)error;
@end

/// Why no directory can be shared with a guest; nil where one can.
NSError *_Nullable applevz_shared_directories_missing(void);

@protocol AppleVZSockets <NSObject>
@optional
/// Why no guest can have sockets to this host; nil where one can.
+ (nullable NSError *)applevzSocketsError;
@end

@protocol AppleVZSocketListening <NSObject>
@optional
/// As setSocketListener:forPort:, and says why where it cannot be.
- (BOOL)applevzSetSocketListener:(id)listener forPort:(uint32_t)port error:(NSError **)error;
@end

/// Why no guest can have sockets to this host; nil where one can.
NSError *_Nullable applevz_sockets_missing(void);

@protocol AppleVZBridging <NSObject>
@optional
/// Why no network card can be connected to a network of the host's; nil where one can.
+ (nullable NSError *)applevzBridgingError;
@end

/// The same, of any framework.
NSError *_Nullable applevz_bridged_networks_missing(void);

@protocol AppleVZScreenshots <NSObject>
@optional
/// What the first display shows, of a machine that is running or paused. The descriptor is the caller's, of a file without a
/// name that holds a PNG image from its beginning on; -1 with an error.
- (void)applevzTakeScreenshotWithCompletionHandler:(void (^)(int descriptor, NSError *_Nullable error))handler;
@end

/// Why no guest's display can be had as a picture; nil where one can.
NSError *_Nullable applevz_screenshots_missing(void);

@protocol AppleVZInput <NSObject>
@optional
/// Each sends one event to the guest of a running machine. A key is that with a usage of page 7 of the USB's HID Usage Tables.
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

/// Why a program cannot press keys and move the pointer for a guest; nil where it can.
NSError *_Nullable applevz_input_events_missing(void);

// The framework's own, from macOS 14 on and on Apple's processors only; its headers do not declare them for others.

@protocol AppleVZSaveRestore <NSObject>
@optional
- (void)saveMachineStateToURL:(NSURL *)url completionHandler:(void (^)(NSError *_Nullable error))completion;
- (void)restoreMachineStateFromURL:(NSURL *)url completionHandler:(void (^)(NSError *_Nullable error))completion;
/// What a platform may have beyond it: the machine will not run again, and its memory becomes part of the file as it is.
- (void)applevzSaveMachineStateByHandingOverMemoryToURL:(NSURL *)url
                                      completionHandler:(void (^)(NSError *_Nullable error))completion;
/// What a platform may have beyond it: the machine runs on the file itself, mapped privately.
- (void)applevzRestoreMachineStateByMappingURL:(NSURL *)url
                             completionHandler:(void (^)(NSError *_Nullable error))completion;
@end

@protocol AppleVZSaveRestoreValidation <NSObject>
@optional
- (BOOL)validateSaveRestoreSupportWithError:(NSError **)error;
@end

/// Why no machine's state can be saved or restored here; nil where it can.
NSError *_Nullable applevz_save_restore_missing(void);

NS_ASSUME_NONNULL_END
