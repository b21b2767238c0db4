// SPDX-License-Identifier: Apache-2.0
// Files of the host as configurations name them, opened, with words for what can be wrong with them.
#import "VZFilePath+Private.h"
#include <sys/stat.h>

NS_ASSUME_NONNULL_BEGIN

/// The UTF-8 bytes of string with a NUL after them; nil if it has half a surrogate pair in it. -[NSString UTF8String]
/// raises an exception for such a string.
extern NSData *_Nullable VZUTF8Data(NSString *string);

/// string for use in an error's text, where it has to be legible and short: quoted, control characters escaped, and the
/// middle of a long one left out.
extern NSString *VZQuoted(NSString *_Nullable string);

/// A file that was looked at and can be opened as asked.
@interface VZHostFile : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// Opens path, following symbolic links, if it is a regular file or, with blockDevices, a block device. Anything else
/// is not opened at all: opening a FIFO waits, and opening a device can have effects. nil with reason, as above, and
/// errorNumber, 0 if no system call failed.
- (nullable instancetype)initWithPath:(NSString *)path
                             writable:(BOOL)writable
                         blockDevices:(BOOL)blockDevices
                               reason:(NSString *_Nullable __autoreleasing *_Nonnull)reason
                          errorNumber:(int *)errorNumber NS_DESIGNATED_INITIALIZER;

/// The regular file at path, for reading.
- (nullable instancetype)initForReadingPath:(NSString *)path
                                     reason:(NSString *_Nullable __autoreleasing *_Nonnull)reason
                                errorNumber:(int *)errorNumber;

/// The same as the first, of the path that url means.
+ (nullable instancetype)fileAtURL:(nullable NSURL *)url
                          writable:(BOOL)writable
                      blockDevices:(BOOL)blockDevices
                            reason:(NSString *_Nullable __autoreleasing *_Nonnull)reason
                       errorNumber:(int *)errorNumber;

/// A duplicate of an open descriptor.
- (nullable instancetype)initWithFileDescriptor:(int)fileDescriptor
                                         reason:(NSString *_Nullable __autoreleasing *_Nonnull)reason
                                    errorNumber:(int *)errorNumber NS_DESIGNATED_INITIALIZER;

/// Open as long as the object lives.
@property (readonly) int fileDescriptor;
@property (readonly) uint64_t size;
@property (readonly) BOOL isBlockDevice;

/// All that a file holds, of which no more than that many bytes are read; nil if it holds more, or cannot be read.
- (nullable NSData *)dataOfAtMost:(NSUInteger)longest;

/// Whether both are the same file, whatever their paths.
- (BOOL)isSameFileAs:(VZHostFile *)other;

@end

NS_ASSUME_NONNULL_END
