// SPDX-License-Identifier: Apache-2.0
#import "QEMUDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// A saved state in its file, which was looked at and is whole. QEMUSavedStateFormat.h says what is in it.
@interface QEMUSavedState : NSObject

/// nil, with an error of VZErrorRestore, where the file cannot be opened or is not a whole saved state of a version that is
/// known here. Reads all of it but the memory, of which only the length is checked.
- (nullable instancetype)initWithPath:(NSString *)path error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

@property (readonly) QEMUDescriptor *file;

/// Whether the memory is in the file as it is. Otherwise it is in the stream.
@property (readonly) BOOL hasMemory;

/// Whether a machine is to run on the memory in the file itself, mapped privately, rather than on a copy.
@property BOOL isMapped;

/// The memory that the machine had when it ran last, to be overwritten where that is faster than to copy to a new one: pages
/// that are there already take less than half of the time. Where there are many more than the state has, to give those back
/// takes longer.
@property (nullable, nonatomic) QEMUDescriptor *formerMemory;

/// Copies the memory to a file without data, or to the former memory, and checks it; or, where that is nil, only checks it. The
/// memory of a file that this process wrote, or checked before, and that is as it was then, is not checked again. NO, with an
/// error of VZErrorRestore.
- (BOOL)takeMemoryTo:(nullable QEMUDescriptor *)memory error:(NSError **)error;

/// The version of the QEMU that wrote it: "7.2".
@property (readonly) NSString *version;

/// nil where the fields are those that the state was saved with; otherwise an error of VZErrorRestore that names the first
/// one that differs, with both values.
/// What exempt names may differ.
- (nullable NSError *)errorOfFields:(NSArray<NSArray<NSString *> *> *)fields exempt:(NSArray<NSString *> *)exempt;

/// What the state was saved with; nil where it had no such field.
- (nullable NSString *)valueOfField:(NSString *)name;

/// The file, opened anew, at the beginning of the stream. nil, with an error of NSPOSIXErrorDomain.
- (nullable QEMUDescriptor *)streamWithError:(NSError **)error;

@end

/// VZErrorRestore.
NSError *QEMURestoreError(NSString *reason, NSString *_Nullable suggestion, NSError *_Nullable underlying);

NS_ASSUME_NONNULL_END
