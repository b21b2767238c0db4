// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

@class VZHostFile;

/// EFI firmware for a q35, as two images of flash memory that were built together: the code, and variables that are
/// nobody's yet. Either with the other's of another build boots, and keeps no variable.
@interface QEMUFirmware : NSObject

- (instancetype)init NS_UNAVAILABLE;

/// The firmware that the host's descriptors (QEMU's docs/interop/firmware.json) put first, or a known place has; looked
/// for each time. The environment variable APPLEVZ_QEMU_FIRMWARE names a folder of descriptors that stands in for all
/// of that. nil, with VZErrorNotSupported, where there is none.
+ (nullable instancetype)firmwareWithError:(NSError **)error;

/// The code; nil with VZErrorNotSupported where it can no longer be opened.
- (nullable VZHostFile *)openCodeWithError:(NSError **)error;
@property (readonly) uint64_t codeSize;
@property (readonly) uint64_t variablesSize;

/// What a new variable store holds.
- (nullable NSData *)emptyVariablesWithError:(NSError **)error;

@end

NS_ASSUME_NONNULL_END
