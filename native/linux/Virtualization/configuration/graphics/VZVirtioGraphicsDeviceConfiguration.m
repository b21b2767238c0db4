// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZVirtioGraphicsDeviceConfiguration

- (instancetype)init {
    if ((self = [super initForSubclass])) {
        _scanouts = @[];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioGraphicsDeviceConfiguration *copy = [[[self class] allocWithZone:zone] init];
    NSMutableArray *scanouts = [[NSMutableArray alloc] init];
    for (VZVirtioGraphicsScanoutConfiguration *scanout in self.scanouts) {
        [scanouts addObject:[scanout copy]];
    }
    copy.scanouts = scanouts;
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSArray *scanouts = self.scanouts;
    if (scanouts.count != 1) {
        return VZRefuse(
            error,
            VZInvalidConfigurationError(
                [NSString stringWithFormat:@"%@.scanouts has %lu scanouts.", property, (unsigned long)scanouts.count],
                @"A graphics device has one: set scanouts to an array of one VZVirtioGraphicsScanoutConfiguration.",
                nil));
    }
    NSString *name = [property stringByAppendingString:@".scanouts[0]"];
    if (![scanouts[0] isKindOfClass:[VZVirtioGraphicsScanoutConfiguration class]]) {
        return VZRefuseClass(scanouts[0], name, @"VZVirtioGraphicsScanoutConfiguration", error);
    }
    return [scanouts[0] validateAs:name error:error];
}

@end
