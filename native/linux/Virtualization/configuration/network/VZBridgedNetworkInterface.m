// SPDX-License-Identifier: Apache-2.0
#import "host/HostTap.h"
#import "configuration/VZConfiguration+Private.h"
#include <net/if.h>

@implementation VZBridgedNetworkInterface

- (instancetype)initWithIdentifier:(NSString *)identifier {
    if ((self = [super init])) {
        _identifier = [identifier copy];
    }
    return self;
}

+ (NSArray<VZBridgedNetworkInterface *> *)networkInterfaces {
    NSMutableArray<VZBridgedNetworkInterface *> *interfaces = [[NSMutableArray alloc] init];
    // Not by /sys, which may be that of another network namespace than this process's.
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *one = all; one && one->if_index != 0; one++) {
        NSString *name = [NSString stringWithUTF8String:one->if_name];
        if (name && HostIsBridge(name)) {
            [interfaces addObject:[[self alloc] initWithIdentifier:name]];
        }
    }
    if (all) {
        if_freenameindex(all);
    }
    return [interfaces sortedArrayUsingComparator:^NSComparisonResult(id first, id second) {
        return [[first identifier] compare:[second identifier]];
    }];
}

+ (NSError *)applevzBridgingError {
    return self.networkInterfaces.count == 0 ? HostNoBridgeError() : HostTapMissingError();
}

- (NSString *)localizedDisplayName {
    return nil;
}

@end
