// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDiskSynchronizationMode.h>
#import <Virtualization/VZStorageDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

@class VZNetworkBlockDeviceStorageDeviceAttachment;

/// Hears of an attachment's server, on the machine's queue.
API_AVAILABLE(macos(14.0))
@protocol VZNetworkBlockDeviceStorageDeviceAttachmentDelegate <NSObject>
@optional

/// The server was connected to: when the machine started, and again after attachment:didEncounterError: was called.
- (void)attachmentWasConnected:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment;

/// The server has been away for longer than the timeout, and a request of the guest's failed for it. Until
/// attachmentWasConnected: is called, all fail.
- (void)attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment didEncounterError:(NSError *)error;

@end

/// A disk that a server gives out by the protocol of network block devices, which is in plain text. The machine
/// connects to it as it starts, which fails where the server cannot be reached within the timeout
/// (VZErrorNetworkBlockDeviceNegotiationFailed). Whether the guest can write is the server's to say. A machine that has
/// one cannot be saved.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZNetworkBlockDeviceStorageDeviceAttachment : VZStorageDeviceAttachment

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// nil and an error if the URL is not valid or timeout is not a positive number of seconds. Nothing is connected to.
/// When the connection breaks, the guest's requests wait for as long as the timeout and are made again where it is back
/// by then.
- (nullable instancetype)initWithURL:(NSURL *)URL
                             timeout:(NSTimeInterval)timeout
                      forcedReadOnly:(BOOL)forcedReadOnly
                 synchronizationMode:(VZDiskSynchronizationMode)synchronizationMode
                               error:(NSError **)error NS_DESIGNATED_INITIALIZER;

/// With a timeout of 5 seconds, not forced to be read-only, and with full synchronization.
- (nullable instancetype)initWithURL:(NSURL *)URL error:(NSError **)error;

/// Whether the URL has one of the forms nbd://host:port/export, where the port may be left out (10809), and
/// nbd+unix:///export?socket=path. If not, error says why. Nothing is connected to.
+ (BOOL)validateURL:(NSURL *)URL error:(NSError **)error;

@property (readonly, copy) NSURL *URL;

/// In seconds.
@property (readonly) NSTimeInterval timeout;

/// Whether the guest can only read, whatever the server says.
@property (readonly, getter=isForcedReadOnly) BOOL forcedReadOnly;

@property (readonly) VZDiskSynchronizationMode synchronizationMode;

@property (nullable, weak) id<VZNetworkBlockDeviceStorageDeviceAttachmentDelegate> delegate;

@end

NS_ASSUME_NONNULL_END
