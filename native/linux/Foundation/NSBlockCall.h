// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

/// Calls a block once, for those who call a target by a selector.
@interface NSBlockCall : NSObject
- (instancetype)initWithBlock:(void (^)(void))block;
- (void)call;
@end
