// SPDX-License-Identifier: Apache-2.0
#import "VZFilePath+Private.h"
#include <sys/stat.h>

NS_ASSUME_NONNULL_BEGIN

/// A directory of the host that was looked at, and is held: whatever becomes of its path, it is this one.
@interface VZHostDirectory : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// Opens what the path leads to, if it is a directory that this user may read. nil with reason, which completes a
/// sentence that begins with a property's name, and errorNumber.
- (nullable instancetype)initWithPath:(NSString *)path
                               reason:(NSString *_Nullable __autoreleasing *_Nonnull)reason
                          errorNumber:(int *)errorNumber NS_DESIGNATED_INITIALIZER;

/// Where it was found, from the root and without symbolic links: the same in every process that has this root.
@property (readonly) NSString *path;

/// By which it is told from every other directory as long as this object lives.
@property (readonly) dev_t device;
@property (readonly) ino_t inode;

@end

NS_ASSUME_NONNULL_END
