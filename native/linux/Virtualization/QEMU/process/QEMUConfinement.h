// SPDX-License-Identifier: Apache-2.0
#import "QEMU/command_line/QEMUCommandLine.h"
#import "host/HostConfinement.h"
#import <applevz_extensions.h>

NS_ASSUME_NONNULL_BEGIN

/// What keeps one QEMU, which its guest may have taken over, from the rest of the host. It is in force before QEMU's
/// first instruction, and does not rely on how QEMU was built.
@interface QEMUConfinement : NSObject

/// Why a host has not all of it; nil where it has.
+ (nullable NSError *)missingError;

/// For the program at an absolute path. nil, with an error of VZErrorNotSupported, if the machine
/// requires what it cannot have; or of VZErrorInternal, if the rules cannot be made.
- (nullable instancetype)initWithProgram:(NSString *)path
                             commandLine:(QEMUCommandLine *)commandLine
                                   error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// What it will be once QEMU runs.
@property (readonly) AppleVZConfinement confinement;

/// For the start of the process, as long as this object lives. NULL for a program that nothing is known of.
@property (readonly, nullable) const struct host_confinement *native NS_RETURNS_INNER_POINTER;

@end

NS_ASSUME_NONNULL_END
