// SPDX-License-Identifier: Apache-2.0
#import "boundary/files.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// All files that the configuration names, with the fields that name them. None is looked at.
NSArray<AppleVZNamedFile *> *applevz_files_of_configuration(VZVirtualMachineConfiguration *configuration);

/// Those of a directory share, by its field.
NSArray<AppleVZNamedFile *> *applevz_files_of_share(VZDirectoryShare *share, NSString *field);

/// What is told of a configuration that is refused, for which this process or one of its files may be to blame: see
/// applevz_error_with_process_cure and applevz_refusal_of_files. The framework may have given no reason.
NSError *applevz_refusal_of_configuration(NSError *_Nullable refusal, VZVirtualMachineConfiguration *configuration);

/// The same of a disk, by its field.
NSError *applevz_refusal_of_attachment(NSError *refusal, VZStorageDeviceAttachment *attachment, NSString *field);

/// The reason why no machine can be made of the configuration, or started; nil if one can, as far as the framework and
/// what is known of kernels (kernels.h) tell.
NSError *_Nullable applevz_error_of_configuration(VZVirtualMachineConfiguration *configuration);

NS_ASSUME_NONNULL_END
