// SPDX-License-Identifier: Apache-2.0
#import "QEMU/program/QEMUSound.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZVirtioSoundDeviceConfiguration

- (instancetype)init {
    if ((self = [super initForSubclass])) {
        _streams = @[];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioSoundDeviceConfiguration *copy = [[[self class] allocWithZone:zone] init];
    copy.streams = VZCopyOfParts(self.streams);
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSUInteger outputs = 0, inputs = 0;
    for (NSUInteger i = 0; i < self.streams.count; i++) {
        NSString *place = VZNameOfElement([property stringByAppendingString:@".streams"], i);
        VZVirtioSoundDeviceStreamConfiguration *stream = self.streams[i];
        if (![stream isKindOfClass:[VZVirtioSoundDeviceStreamConfiguration class]]) {
            return VZRefuseClass(stream, place, @"VZVirtioSoundDeviceOutputStreamConfiguration", error);
        }
        if (![stream validateAs:place error:error]) {
            return NO;
        }
        BOOL isInput = [stream isKindOfClass:[VZVirtioSoundDeviceInputStreamConfiguration class]];
        inputs += isInput ? 1 : 0;
        outputs += isInput ? 0 : 1;
    }
    if (outputs == 0) {
        return VZRefuseConfiguration(error, [NSString stringWithFormat:@"%@.streams has no output stream.", property],
                                     @"Add a VZVirtioSoundDeviceOutputStreamConfiguration.");
    }
    // QEMU takes a number, and gives the first half of the streams to output.
    if (outputs != inputs && outputs != inputs + 1) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"%@.streams has %lu output streams and %lu input streams.", property,
                                       (unsigned long)outputs, (unsigned long)inputs],
            @"Have as many input streams as output streams, or one less; use a further device for more.");
    }
    NSError *missing = QEMUSoundError();
    if (missing) {
        return VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, nil,
                                                 [NSString stringWithFormat:@"%@ is a %@. %@", property, [self class],
                                                                            missing.localizedFailureReason],
                                                 missing.localizedRecoverySuggestion, nil));
    }
    return YES;
}

@end
