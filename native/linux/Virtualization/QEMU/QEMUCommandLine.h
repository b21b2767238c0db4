// SPDX-License-Identifier: Apache-2.0
#import "QEMUDescriptor.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// A QMP command that is sent before the guest runs.
@interface QEMUPreparation : NSObject
@property (readonly) NSString *command;
@property (readonly) NSDictionary *arguments;
/// What of the configuration it is for, to begin an error's reason with.
@property (readonly) NSString *property;
@end

/// What QEMU is started with to be the machine of a configuration. No string of the user's is pasted into an option that is
/// taken apart again: it is an argument of its own, a value in JSON, or goes by QMP.
@interface QEMUCommandLine : NSObject

/// The configuration must be valid. nil, with an error, where a file it names can no longer be opened.
- (nullable instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration
                                         error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Without the program's name.
@property (readonly) NSArray<NSString *> *arguments;

/// What QEMU inherits, from QEMUFirstConfigurationDescriptor on.
@property (readonly) NSArray<QEMUDescriptor *> *descriptors;

@property (readonly) NSArray<QEMUPreparation *> *preparations;

@end

enum {
    /// QEMU's descriptor for QMP. Below it are its standard input, output and error.
    QEMUControlDescriptor = 3,
    QEMUFirstConfigurationDescriptor = 4,
};

NS_ASSUME_NONNULL_END
