// SPDX-License-Identifier: Apache-2.0
// What a saved state says of itself: by what it is known, which one it came of, and what its machine was.
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// A new one: 128 random bits, as 32 hexadecimal digits. nil, with an error of NSPOSIXErrorDomain, where the system has
/// none.
NSString *_Nullable QEMUNewStateIdentifier(NSError *_Nullable __autoreleasing *_Nullable error);

/// Whether what somebody wrote is one.
BOOL QEMUIsStateIdentifier(NSString *_Nullable text);

/// In microseconds since 1970. Later no calendar goes: the end of the year 9999.
enum : int64_t { QEMU_LATEST_TIME_OF_STATE = 253402300799000000 };

/// All of it but for what the writer adds, where the overlays of disks are. The parent is the state that its machine
/// was restored from or saved as last. Where the images are is for the user to know: a state does not depend on it.
NSDictionary<NSString *, id> *QEMUDescriptionOfState(VZVirtualMachineConfiguration *configuration, NSString *version,
                                                     NSArray<NSArray<NSString *> *> *fields, NSString *identifier,
                                                     NSString *_Nullable parent);

NS_ASSUME_NONNULL_END
