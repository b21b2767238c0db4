// SPDX-License-Identifier: Apache-2.0
#import "VZErrors+Private.h"
#include <string.h>

NSErrorDomain const VZErrorDomain = @"VZErrorDomain";

NSError *VZErrorWithReason(VZErrorCode code, NSString *description, NSString *failureReason,
                           NSString *recoverySuggestion, NSError *underlying)
{
    NSMutableDictionary *userInfo = [[NSMutableDictionary alloc] init];
    userInfo[NSLocalizedDescriptionKey] = description;
    userInfo[NSLocalizedFailureReasonErrorKey] = failureReason;
    if (recoverySuggestion) {
        userInfo[NSLocalizedRecoverySuggestionErrorKey] = recoverySuggestion;
    }
    if (underlying) {
        userInfo[NSUnderlyingErrorKey] = underlying;
    }
    return [NSError errorWithDomain:VZErrorDomain code:code userInfo:userInfo];
}

// Many programs print the description alone, so it has the reason in it, as Apple's has.
static NSError *errorWithFailure(VZErrorCode code, NSString *failure, NSString *failureReason,
                                 NSString *recoverySuggestion, NSError *underlying)
{
    return VZErrorWithReason(code, [NSString stringWithFormat:@"%@ %@", failure, failureReason], failureReason,
                             recoverySuggestion, underlying);
}

NSError *VZInvalidConfigurationError(NSString *failureReason, NSString *recoverySuggestion, NSError *underlying)
{
    return errorWithFailure(VZErrorInvalidVirtualMachineConfiguration, @"Invalid virtual machine configuration.",
                            failureReason, recoverySuggestion, underlying);
}

NSError *VZInvalidDiskImageError(NSString *failureReason, NSString *recoverySuggestion, NSError *underlying)
{
    return errorWithFailure(VZErrorInvalidDiskImage, @"Invalid disk image.", failureReason, recoverySuggestion,
                            underlying);
}

NSString *VZNameOfElement(NSString *property, NSUInteger index)
{
    return [NSString stringWithFormat:@"%@[%lu]", property, (unsigned long)index];
}

NSString *VZSystemCallErrorText(int errorNumber)
{
    // The GNU strerror_r: returns the text, which is in buffer or static.
    char buffer[128];
    return [NSString stringWithUTF8String:strerror_r(errorNumber, buffer, sizeof buffer)]
        ?: [NSString stringWithFormat:@"error %d", errorNumber];
}

NSError *VZSystemCallError(int errorNumber, NSString *path)
{
    NSMutableDictionary *userInfo = [[NSMutableDictionary alloc] init];
    userInfo[NSLocalizedDescriptionKey] = VZSystemCallErrorText(errorNumber);
    if (path) {
        userInfo[NSFilePathErrorKey] = path;
    }
    return [NSError errorWithDomain:NSPOSIXErrorDomain code:errorNumber userInfo:userInfo];
}
