// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

@implementation NSProcessInfo (ApplevzOperatingSystemVersion)

- (NSOperatingSystemVersion)operatingSystemVersion {
    // The newest whose interface is implemented: __MAC_15_0 is 15·10000 + 0·100.
    return (NSOperatingSystemVersion){__MAC_15_0 / 10000, __MAC_15_0 / 100 % 100, __MAC_15_0 % 100};
}

- (BOOL)isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion)version {
    NSOperatingSystemVersion own = self.operatingSystemVersion;
    if (own.majorVersion != version.majorVersion)
        return own.majorVersion > version.majorVersion;
    if (own.minorVersion != version.minorVersion)
        return own.minorVersion > version.minorVersion;
    return own.patchVersion >= version.patchVersion;
}

@end
