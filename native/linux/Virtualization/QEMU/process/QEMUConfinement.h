// SPDX-License-Identifier: Apache-2.0
#import "QEMU/command_line/QEMUCommandLine.h"
#import "host/confinement/HostConfinement.h"
#import "host/HostSupervisor.h"
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

/// Supervises where a QEMU that was started so connects to, as its command line says; `socket` is the other end of its
/// control connection, and `process` its pidfd. nil where it was started without, or, with an error of
/// NSPOSIXErrorDomain, where it cannot be.
- (nullable HostSupervisor *)superviseProcess:(int)process
                                       socket:(int)socket
                                  commandLine:(QEMUCommandLine *)commandLine
                                        error:(NSError **)error;

@end

/// Whether a QEMU of which that is waived is given the memory of a saved state for reading, where it asks for writing,
/// too.
BOOL QEMUGivesMemory(AppleVZConfinement waived);

/// What the network with that index may reach from now on: what its attachment says.
void QEMUReachOfNetwork(HostSupervisor *_Nullable supervisor, NSUInteger index,
                        VZNetworkDeviceAttachment *_Nullable attachment);

/// From now on QEMU connects to that server.
void QEMUAllowDiskServer(HostSupervisor *_Nullable supervisor, QEMUDiskServer *server);

NS_ASSUME_NONNULL_END
