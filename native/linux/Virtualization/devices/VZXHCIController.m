// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZXHCIController.h>

@implementation VZXHCIController
@end
