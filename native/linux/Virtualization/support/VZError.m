// SPDX-License-Identifier: Apache-2.0
#import "VZErrors+Private.h"
#import "VZFilePath+Private.h"
#include <errno.h>
#include <string.h>

NSErrorDomain const VZErrorDomain = @"VZErrorDomain";

// The suggestion for a system that has nothing left to give: nothing is wrong with what was asked for.
static NSString *suggestionWhereNothingIsLeft(NSError *underlying) {
    if (![underlying.domain isEqualToString:NSPOSIXErrorDomain]) {
        return nil;
    }
    switch (underlying.code) {
    case EMFILE:
        return @"Close files that are no longer needed, or raise this process's limit of them (RLIMIT_NOFILE).";
    case ENFILE:
        return @"Close files that are no longer needed, or raise the system's limit of them (fs.file-max).";
    default:
        return nil;
    }
}

// What an error of each code begins with. Where programs and reports of others quote Apple's framework it is Apple's
// sentence, and that of the documentation where they do not.
static NSString *failureOfCode(VZErrorCode code) {
    switch (code) {
    case VZErrorInternal:
        return @"Internal Virtualization error.";
    case VZErrorInvalidVirtualMachineConfiguration:
        return @"Invalid virtual machine configuration.";
    case VZErrorInvalidVirtualMachineState:
        return @"Invalid virtual machine state.";
    case VZErrorInvalidVirtualMachineStateTransition:
        return @"Invalid virtual machine state transition.";
    case VZErrorInvalidDiskImage:
        return @"Invalid disk image.";
    case VZErrorVirtualMachineLimitExceeded:
        return @"The number of virtual machines exceeds the limit.";
    case VZErrorNetworkError:
        return @"A network error occurred.";
    case VZErrorOutOfDiskSpace:
        return @"The virtual machine ran out of disk space.";
    case VZErrorOperationCancelled:
        return @"The operation was cancelled.";
    case VZErrorNotSupported:
        return @"The operation is not supported.";
    case VZErrorSave:
        return @"An error occurred while saving the virtual machine.";
    case VZErrorRestore:
        return @"An error occurred while restoring the virtual machine.";
    case VZErrorNetworkBlockDeviceNegotiationFailed:
        return @"The connection or the negotiation with the NBD server failed.";
    case VZErrorNetworkBlockDeviceDisconnected:
        return @"The NBD client is disconnected from the server.";
    case VZErrorUSBControllerNotFound:
        return @"The USB controller was not found.";
    case VZErrorDeviceAlreadyAttached:
        return @"The device is already attached.";
    case VZErrorDeviceInitializationFailure:
        return @"The device could not be initialized.";
    case VZErrorDeviceNotFound:
        return @"The device was not found.";
    default:
        return @"An error occurred during installation.";
    }
}

NSError *VZErrorWithReason(VZErrorCode code, NSString *what, NSString *why, NSString *recoverySuggestion,
                           NSError *underlying) {
    NSMutableDictionary *userInfo = [[NSMutableDictionary alloc] init];
    userInfo[NSLocalizedFailureErrorKey] = failureOfCode(code);
    // One that is passed on says it already.
    BOOL isSaid = !what || [what isEqualToString:userInfo[NSLocalizedFailureErrorKey]] || [why hasPrefix:what];
    userInfo[NSLocalizedFailureReasonErrorKey] = isSaid ? why : [NSString stringWithFormat:@"%@ %@", what, why];
    recoverySuggestion = suggestionWhereNothingIsLeft(underlying) ?: recoverySuggestion;
    if (recoverySuggestion) {
        userInfo[NSLocalizedRecoverySuggestionErrorKey] = recoverySuggestion;
    }
    if (underlying) {
        userInfo[NSUnderlyingErrorKey] = underlying;
    }
    return [NSError errorWithDomain:VZErrorDomain code:code userInfo:userInfo];
}

NSError *VZInvalidConfigurationError(NSString *failureReason, NSString *recoverySuggestion, NSError *underlying) {
    return VZErrorWithReason(VZErrorInvalidVirtualMachineConfiguration, nil, failureReason, recoverySuggestion,
                             underlying);
}

NSError *VZInvalidDiskImageError(NSString *failureReason, NSString *recoverySuggestion, NSError *underlying) {
    return VZErrorWithReason(VZErrorInvalidDiskImage, nil, failureReason, recoverySuggestion, underlying);
}

NSString *VZNameOfElement(NSString *property, NSUInteger index) {
    return [NSString stringWithFormat:@"%@[%lu]", property, (unsigned long)index];
}

NSString *VZSystemCallErrorText(int errorNumber) {
    // The GNU strerror_r: returns the text, which is in buffer or static.
    char buffer[128];
    return [NSString stringWithUTF8String:strerror_r(errorNumber, buffer, sizeof buffer)]
               ?: [NSString stringWithFormat:@"error %d", errorNumber];
}

NSError *VZSystemCallError(int errorNumber, NSString *path) {
    // Its words are those of its number. A path that is not text has its own bytes in the URL only.
    return [NSError
        errorWithDomain:NSPOSIXErrorDomain
                   code:errorNumber
               userInfo:path ? @{
                   NSFilePathErrorKey : path,
                   NSURLErrorKey :
                       [NSURL URLWithString:[@"file://" stringByAppendingString:VZEscapedPath(VZBytesOfPath(path))]],
               }
                             : nil];
}
