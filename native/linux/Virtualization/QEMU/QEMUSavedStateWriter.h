// SPDX-License-Identifier: Apache-2.0
#import "QEMUDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// Where QEMU streams to: a file in memory, which no full disk can stop. A paused machine's is kept until it runs on, since
/// QEMU streams only once while its processors stand still.
@interface QEMUStateStream : NSObject
- (nullable instancetype)initWithError:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
@property (readonly) QEMUDescriptor *file;
@end

/// Writes a saved state, the memory nil where it is in the stream. The file has no name while it is written, and gets its
/// name when it is whole: an end of this process, at whatever moment, leaves it whole or not at all. It is not waited for
/// until it is on the disk: what a host that lost its power lost of it, its checksums tell when it is restored. NO, with an
/// error of VZErrorSave, where it could not be written; a file of that name is never touched.
///
/// With `handOver` the file that holds the memory becomes the saved state itself, where it can: where it is in the file
/// system of that folder. No page of it is copied then, and the machine must not run again once this has succeeded.
BOOL QEMUWriteSavedState(NSString *path, QEMUDescriptor *_Nullable memory, BOOL handOver, QEMUStateStream *stream,
                         NSString *version, NSArray<NSArray<NSString *> *> *fields, NSError **error);

/// VZErrorSave.
NSError *QEMUSaveError(NSString *reason, NSString *_Nullable suggestion, NSError *_Nullable underlying);

NS_ASSUME_NONNULL_END
