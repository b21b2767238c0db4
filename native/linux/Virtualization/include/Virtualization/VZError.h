// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// Domain of the errors that this framework reports itself.
VZ_EXTERN NSErrorDomain const VZErrorDomain API_AVAILABLE(macos(11.0));

/// Codes in VZErrorDomain. The numbers are Apple's.
typedef NS_ERROR_ENUM(VZErrorDomain, VZErrorCode){
    /// The implementation failed, for one because the machine stopped without having been asked to.
    VZErrorInternal = 1,

    /// The configuration cannot be made into a machine.
    VZErrorInvalidVirtualMachineConfiguration = 2,

    /// The machine is not in a state in which the call makes sense.
    VZErrorInvalidVirtualMachineState = 3,

    /// The machine cannot go from its state to the requested one.
    VZErrorInvalidVirtualMachineStateTransition = 4,

    /// The file is not a disk image that can be attached.
    VZErrorInvalidDiskImage = 5,

    /// No further machine may run.
    VZErrorVirtualMachineLimitExceeded API_AVAILABLE(macos(12.0)) = 6,

    /// A network operation failed.
    VZErrorNetworkError API_AVAILABLE(macos(13.0)) = 7,

    /// The host has no space left for what the machine writes.
    VZErrorOutOfDiskSpace API_AVAILABLE(macos(13.0)) = 8,

    /// The operation was cancelled before it was done.
    VZErrorOperationCancelled API_AVAILABLE(macos(13.0)) = 9,

    /// This host cannot do the operation.
    VZErrorNotSupported API_AVAILABLE(macos(13.0)) = 10,

    /// The machine's state could not be saved.
    VZErrorSave API_AVAILABLE(macos(14.0)) = 11,

    /// The machine's state could not be restored.
    VZErrorRestore API_AVAILABLE(macos(14.0)) = 12,

    /// Codes of installing macOS guests.
    VZErrorRestoreImageCatalogLoadFailed API_AVAILABLE(macos(13.0)) = 10001,
    VZErrorInvalidRestoreImageCatalog API_AVAILABLE(macos(13.0)) = 10002,
    VZErrorNoSupportedRestoreImagesInCatalog API_AVAILABLE(macos(13.0)) = 10003,
    VZErrorRestoreImageLoadFailed API_AVAILABLE(macos(13.0)) = 10004,
    VZErrorInvalidRestoreImage API_AVAILABLE(macos(13.0)) = 10005,
    VZErrorInstallationRequiresUpdate API_AVAILABLE(macos(13.0)) = 10006,
    VZErrorInstallationFailed API_AVAILABLE(macos(13.0)) = 10007,

    /// Codes of disks behind a network block device server.
    VZErrorNetworkBlockDeviceNegotiationFailed API_AVAILABLE(macos(14.0)) = 20001,
    VZErrorNetworkBlockDeviceDisconnected API_AVAILABLE(macos(14.0)) = 20002,

    /// Codes of attaching USB devices to a running machine.
    VZErrorUSBControllerNotFound API_AVAILABLE(macos(15.0)) = 30001,
    VZErrorDeviceAlreadyAttached API_AVAILABLE(macos(15.0)) = 30002,
    VZErrorDeviceInitializationFailure API_AVAILABLE(macos(15.0)) = 30003,
    VZErrorDeviceNotFound API_AVAILABLE(macos(15.0)) = 30004,
} API_AVAILABLE(macos(11.0)) NS_SWIFT_NAME(VZError.Code);

NS_ASSUME_NONNULL_END
