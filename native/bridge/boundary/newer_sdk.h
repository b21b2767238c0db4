// SPDX-License-Identifier: Apache-2.0
// <Virtualization/Virtualization.h>, and the declarations that the bridge uses and an old SDK lacks. A file that uses a
// name newer than macOS 13 imports this header instead of the framework's. @available decides when a program runs, but
// the compiler needs the declarations in any case.
//
// A class that an old SDK lacks has no symbol to link with: it is looked up by its name where it is used. So a library
// that was built with an old SDK can do on a new macOS all that any other can. No declaration here says since when it
// is available, which would ask for the symbol all the same. A compiler with a new SDK checks the guards.
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

#define APPLEVZ_NEWER_CLASS __attribute__((objc_runtime_visible))

#if __MAC_OS_X_VERSION_MAX_ALLOWED < 140000

typedef NS_ENUM(NSInteger, VZDiskSynchronizationMode) {
    VZDiskSynchronizationModeFull,
    VZDiskSynchronizationModeNone,
};

APPLEVZ_NEWER_CLASS
@interface VZDiskBlockDeviceStorageDeviceAttachment : VZStorageDeviceAttachment
- (nullable instancetype)initWithFileHandle:(NSFileHandle *)fileHandle
                                   readOnly:(BOOL)readOnly
                        synchronizationMode:(VZDiskSynchronizationMode)synchronizationMode
                                      error:(NSError **)error NS_DESIGNATED_INITIALIZER;
@end

@class VZNetworkBlockDeviceStorageDeviceAttachment;

@protocol VZNetworkBlockDeviceStorageDeviceAttachmentDelegate <NSObject>
@optional
- (void)attachmentWasConnected:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment;
- (void)attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment didEncounterError:(NSError *)error;
@end

APPLEVZ_NEWER_CLASS
@interface VZNetworkBlockDeviceStorageDeviceAttachment : VZStorageDeviceAttachment
- (nullable instancetype)initWithURL:(NSURL *)URL
                             timeout:(NSTimeInterval)timeout
                      forcedReadOnly:(BOOL)forcedReadOnly
                 synchronizationMode:(VZDiskSynchronizationMode)synchronizationMode
                               error:(NSError **)error NS_DESIGNATED_INITIALIZER;
@property (readonly, copy) NSURL *URL;
@property (nullable, weak) id<VZNetworkBlockDeviceStorageDeviceAttachmentDelegate> delegate;
@end

APPLEVZ_NEWER_CLASS
@interface VZNVMExpressControllerDeviceConfiguration : VZStorageDeviceConfiguration
- (instancetype)initWithAttachment:(VZStorageDeviceAttachment *)attachment NS_DESIGNATED_INITIALIZER;
@end

APPLEVZ_NEWER_CLASS
@interface VZGraphicsDisplay : NSObject
@property (readonly) CGSize sizeInPixels;
@end

APPLEVZ_NEWER_CLASS
@interface VZGraphicsDevice : NSObject
@property (readonly, copy) NSArray<VZGraphicsDisplay *> *displays;
@end

@interface VZVirtualMachine (AppleVZMacOS14)
@property (readonly, copy) NSArray<VZGraphicsDevice *> *graphicsDevices;
@end

#endif
#if __MAC_OS_X_VERSION_MAX_ALLOWED < 150000

@protocol VZUSBDeviceConfiguration <NSObject>
@property (readwrite, copy) NSUUID *uuid;
@end

@interface VZUSBMassStorageDeviceConfiguration (AppleVZMacOS15) <VZUSBDeviceConfiguration>
@end

@protocol VZUSBDevice <NSObject>
@property (readonly, copy) NSUUID *uuid;
@end

APPLEVZ_NEWER_CLASS
@interface VZStorageDevice : NSObject
@end

APPLEVZ_NEWER_CLASS
@interface VZUSBMassStorageDevice : VZStorageDevice <VZUSBDevice>
- (instancetype)initWithConfiguration:(VZUSBMassStorageDeviceConfiguration *)configuration NS_DESIGNATED_INITIALIZER;
@end

APPLEVZ_NEWER_CLASS
@interface VZUSBControllerConfiguration : NSObject <NSCopying>
@property (readwrite, copy) NSArray<id<VZUSBDeviceConfiguration>> *usbDevices;
@end

APPLEVZ_NEWER_CLASS
@interface VZXHCIControllerConfiguration : VZUSBControllerConfiguration
- (instancetype)init NS_DESIGNATED_INITIALIZER;
@end

APPLEVZ_NEWER_CLASS
@interface VZUSBController : NSObject
- (void)attachDevice:(id<VZUSBDevice>)device
    completionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler;
- (void)detachDevice:(id<VZUSBDevice>)device
    completionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler;
@property (readonly, copy) NSArray<id<VZUSBDevice>> *usbDevices;
@end

@interface VZVirtualMachineConfiguration (AppleVZMacOS15)
@property (copy) NSArray<VZUSBControllerConfiguration *> *usbControllers;
@end

@interface VZVirtualMachine (AppleVZMacOS15)
@property (readonly, copy) NSArray<VZUSBController *> *usbControllers;
@end

@interface VZGenericPlatformConfiguration (AppleVZMacOS15)
@property (class, readonly, getter=isNestedVirtualizationSupported) BOOL nestedVirtualizationSupported;
@property (getter=isNestedVirtualizationEnabled) BOOL nestedVirtualizationEnabled;
@end

#endif

#undef APPLEVZ_NEWER_CLASS

NS_ASSUME_NONNULL_END
