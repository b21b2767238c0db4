// SPDX-License-Identifier: Apache-2.0
// What this host can do for machines, asked of the programs that are installed.
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@interface VZVirtualMachine (Host) <AppleVZMachineExtensions, AppleVZLog>
@end

NS_ASSUME_NONNULL_END
