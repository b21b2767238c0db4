// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZVirtualMachineStartOptions.h>

@implementation VZVirtualMachineStartOptions
@end
