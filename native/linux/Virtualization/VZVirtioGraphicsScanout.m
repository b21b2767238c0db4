// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"

@implementation VZVirtioGraphicsScanout
@end
