// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZVirtioSocketListener.h>

@implementation VZVirtioSocketListener
@end
