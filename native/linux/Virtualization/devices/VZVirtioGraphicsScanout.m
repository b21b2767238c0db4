// SPDX-License-Identifier: Apache-2.0
#import "machine/VZVirtualMachine+Private.h"

@implementation VZVirtioGraphicsScanout
@end
