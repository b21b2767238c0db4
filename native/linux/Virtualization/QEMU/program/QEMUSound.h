// SPDX-License-Identifier: Apache-2.0
// Sound cards: which QEMU has them.
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// Why no guest can have one; nil where one can. Asks the program, which takes a process of its own.
NSError *_Nullable QEMUSoundError(void);

/// The driver of QEMU's for the host's side: what the environment variable APPLEVZ_QEMU_AUDIO names, or none.
NSString *QEMUAudioDriver(void);

NS_ASSUME_NONNULL_END
