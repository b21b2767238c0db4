// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import "QEMU/storage/QEMUCarriedDisk.h"

NS_ASSUME_NONNULL_BEGIN

/// A saved state in its file, which was looked at and is whole. QEMUSavedStateFormat.h says what is in it.
@interface QEMUSavedState : NSObject

/// nil, with an error of VZErrorRestore, where the file cannot be opened or is not a whole saved state of a version
/// that is known here. Reads all of it but the memory, of which only the length is checked: it is that of a machine of
/// `memorySize`.
///
/// Of a state of a machine with another memory the description is read, and nothing else looked at: errorOfFields:
/// refuses it.
- (nullable instancetype)initWithPath:(NSString *)path
                           memorySize:(uint64_t)memorySize
                                error:(NSError **)error NS_DESIGNATED_INITIALIZER;
/// The same of a file that is only looked into, and which this user may only read: neither its memory nor its stream is
/// looked at. nil without an error, and isState NO, for a file that has not the end of a saved state.
- (nullable instancetype)initForReadingPath:(NSString *)path
                                    isState:(BOOL *)isState
                                      error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

@property (readonly) HostDescriptor *file;

/// By what it is known: QEMUStateDescription.h.
@property (readonly) NSString *identifier;
/// That of the state which its machine was restored from, or saved as, before; nil without one.
@property (readonly, nullable) NSString *parent;

/// Whether the memory is in the file as it is. Otherwise it is in the stream.
@property (readonly) BOOL hasMemory;

/// Whether a machine is to run on the memory in the file itself, mapped privately, rather than on a copy.
@property BOOL isMapped;

/// The memory that the machine had when it ran last, to be overwritten where that is faster than to copy to a new one:
/// pages that are there already take less than half of the time. Where there are many more than the state has, to give
/// those back takes longer.
@property (nullable, nonatomic) HostDescriptor *formerMemory;

/// Copies the memory to a file without data, or to the former memory, and checks it; or, where that is nil, only checks
/// it. The memory of a file that this process wrote, or checked before, and that is as it was then, is not checked
/// again. NO, with an error of VZErrorRestore.
- (BOOL)takeMemoryTo:(nullable HostDescriptor *)memory error:(NSError **)error;

/// The overlays of a disk, from the top down, in the file itself; nil where it holds none of that disk. The name is
/// that of the attachment. Whatever is in them was a guest's to say.
- (nullable NSArray<QEMUDiskLayer *> *)layersOfDisk:(NSString *)name;

/// Copies an overlay to an empty file, and checks it; or, where that is nil, only checks it, unless the file is known
/// to be sound. NO, with an error of VZErrorRestore.
- (BOOL)takeLayer:(QEMUDiskLayer *)layer to:(nullable HostDescriptor *)file error:(NSError **)error;

/// The version of the QEMU that wrote it: "7.2".
@property (readonly) NSString *version;

/// nil where the fields are those that the state was saved with; otherwise an error of VZErrorRestore that names the
/// first one that differs, with both values. What exempt names may differ.
- (nullable NSError *)errorOfFields:(NSArray<NSArray<NSString *> *> *)fields exempt:(NSArray<NSString *> *)exempt;

/// What the state was saved with; nil where it had no such field.
- (nullable NSString *)valueOfField:(NSString *)name;

/// The file, opened anew, at the beginning of the stream. nil, with an error of NSPOSIXErrorDomain.
- (nullable HostDescriptor *)streamWithError:(NSError **)error;
/// Where that is.
@property (readonly) uint64_t streamPosition;

@end

/// VZErrorRestore.
NSError *QEMURestoreError(NSString *reason, NSString *_Nullable suggestion, NSError *_Nullable underlying);

NS_ASSUME_NONNULL_END
