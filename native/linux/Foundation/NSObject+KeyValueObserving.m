// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

@implementation NSObject (ApplevzKeyValueObserving)

- (void)removeObserver:(NSObject *)observer forKeyPath:(NSString *)keyPath context:(void *)context {
    (void)context;
    [self removeObserver:observer forKeyPath:keyPath];
}

@end
