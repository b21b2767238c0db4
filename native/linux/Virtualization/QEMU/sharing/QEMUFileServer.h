// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import <Virtualization/Virtualization.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

/// The process that serves one directory sharing device: virtiofsd, in a mount namespace of its own
/// (HostShareMounts.h). It ends with this object, and with this process, whichever way that ends. Everything happens on
/// the machine's queue.
@interface QEMUFileServer : NSObject

/// Makes the connection between QEMU and the process, which is started later. nil with an error where that fails. The
/// configuration must be valid.
- (nullable instancetype)initWithIndex:(NSUInteger)index
                         configuration:(VZVirtioFileSystemDeviceConfiguration *)configuration
                                 error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// QEMU's end of the connection. The process ends when every descriptor of it is closed.
@property (readonly) HostDescriptor *connection;

/// Called when the process has ended without having been told to, with an error that says which and how, and whether
/// the process itself found that all was well.
@property (nullable, copy) void (^endHandler)(NSError *error, BOOL isWell);

/// Starts the process.
- (BOOL)startOnQueue:(dispatch_queue_t)queue
        controlGroup:(nullable HostDescriptor *)controlGroup
               error:(NSError **)error;

/// Serves other directories from now on. NO, with an error and nothing changed, where that cannot be done while the
/// guest has the device.
- (BOOL)changeToShare:(nullable VZDirectoryShare *)share error:(NSError **)error;

/// Ends the process, and calls the completion when it is gone; now where it is. endHandler is not called any more.
- (void)endWithCompletion:(dispatch_block_t)completion;

/// Ends the process (HostProcess.h). No handler is called any more.
- (void)endNow;

@end

NS_ASSUME_NONNULL_END
