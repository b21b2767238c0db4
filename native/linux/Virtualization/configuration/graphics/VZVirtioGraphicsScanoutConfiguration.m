// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

// Linux's driver makes no larger mode. Of a smaller one QEMU tells the guest timings without pulses
// (hw/display/edid-generate.c), which Linux takes for a mistake, and chooses a mode by itself.
enum { leastWidth = 64, leastHeight = 200, greatestLength = 8192 };

static BOOL validateLength(NSInteger length, int leastLength, NSString *property, NSError **error) {
    if (length >= leastLength && length <= greatestLength) {
        return YES;
    }
    return VZRefuse(
        error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ is %ld.", property, (long)length],
                                           [NSString stringWithFormat:@"Set it to a number of pixels from %d to %d.",
                                                                      leastLength, greatestLength],
                                           nil));
}

@implementation VZVirtioGraphicsScanoutConfiguration

- (instancetype)initWithWidthInPixels:(NSInteger)widthInPixels heightInPixels:(NSInteger)heightInPixels {
    if ((self = [super initForSubclass])) {
        _widthInPixels = widthInPixels;
        _heightInPixels = heightInPixels;
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    return [[[self class] allocWithZone:zone] initWithWidthInPixels:self.widthInPixels
                                                     heightInPixels:self.heightInPixels];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSString *width = [property stringByAppendingString:@".widthInPixels"];
    NSString *height = [property stringByAppendingString:@".heightInPixels"];
    return validateLength(self.widthInPixels, leastWidth, width, error) &&
           validateLength(self.heightInPixels, leastHeight, height, error);
}

@end
