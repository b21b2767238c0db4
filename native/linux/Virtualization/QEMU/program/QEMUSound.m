// SPDX-License-Identifier: Apache-2.0
#import "QEMUSound.h"
#import "support/VZErrors+Private.h"
#import "QEMUProgram.h"
#import "QEMUVersion.h"
#import <stdlib.h>

// The first release with virtio-sound-pci.
enum { SOUND_MAJOR = 8, SOUND_MINOR = 2 };

NSError *QEMUSoundError(void) {
    NSError *error = nil;
    NSString *path = [QEMUProgram pathWithError:&error];
    if (path == nil)
        return error;
    NSString *version = QEMUVersionOfProgram(path, &error);
    if (version == nil)
        return error;
    if (QEMUVersionIsAtLeast(version, SOUND_MAJOR, SOUND_MINOR))
        return nil;
    return VZErrorWithReason(
        VZErrorNotSupported, @"Guests have no sound on this host.",
        [NSString stringWithFormat:@"QEMU %@ has no virtio sound device; %d.%d is the first that has.", version,
                                   SOUND_MAJOR, SOUND_MINOR],
        @"Install a newer QEMU, name one in the environment variable APPLEVZ_QEMU, or leave audioDevices "
        @"empty.",
        nil);
}

NSString *QEMUAudioDriver(void) {
    const char *named = getenv("APPLEVZ_QEMU_AUDIO");
    return named != NULL && named[0] != 0 ? [NSString stringWithUTF8String:named] ?: @"none" : @"none";
}
