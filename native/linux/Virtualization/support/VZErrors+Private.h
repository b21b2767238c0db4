// SPDX-License-Identifier: Apache-2.0
// How the classes of this framework make their errors. Every one says what is wrong, which value, and what would fix
// it.
#import <Virtualization/VZError.h>

NS_ASSUME_NONNULL_BEGIN

/// An error in VZErrorDomain, whose description begins with the code's own sentence and goes on with `what` happened,
/// where that sentence does not say it, and `why`. Each string ends with a full stop.
extern NSError *VZErrorWithReason(VZErrorCode code, NSString *_Nullable what, NSString *why,
                                  NSString *_Nullable recoverySuggestion, NSError *_Nullable underlying);

/// VZErrorInvalidVirtualMachineConfiguration; failureReason names the property and its value.
extern NSError *VZInvalidConfigurationError(NSString *failureReason, NSString *_Nullable recoverySuggestion,
                                            NSError *_Nullable underlying);

/// VZErrorInvalidDiskImage; failureReason names the file.
extern NSError *VZInvalidDiskImageError(NSString *failureReason, NSString *_Nullable recoverySuggestion,
                                        NSError *_Nullable underlying);

/// What a system call said, in NSPOSIXErrorDomain, to stand below an error of the framework's.
extern NSError *VZSystemCallError(int errorNumber, NSString *_Nullable path);

/// The system's words for an error number: "No such file or directory".
extern NSString *VZSystemCallErrorText(int errorNumber);

/// Hands error to a caller who may not want it. Returns NO, so that a check ends with one statement.
static inline BOOL VZRefuse(NSError *_Nullable __autoreleasing *_Nullable out, NSError *error) {
    if (out) {
        *out = error;
    }
    return NO;
}

/// Refuses a configuration.
static inline BOOL VZRefuseConfiguration(NSError *_Nullable __autoreleasing *_Nullable out, NSString *failureReason,
                                         NSString *_Nullable recoverySuggestion) {
    return VZRefuse(out, VZInvalidConfigurationError(failureReason, recoverySuggestion, nil));
}

/// What an error calls one of the elements of an array: "serialPorts[0]".
extern NSString *VZNameOfElement(NSString *property, NSUInteger index);

NS_ASSUME_NONNULL_END
