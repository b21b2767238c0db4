// SPDX-License-Identifier: Apache-2.0
#import "HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// A file that gets its name when it is whole: an end of this process, at whatever moment, leaves it whole or not at
/// all. It is this user's alone, whatever the umask. What fails gives an errno.
@interface VZNewFile : NSObject

/// Opens the folder of path, in which everything else happens, wherever it is moved meanwhile.
- (instancetype)initForPath:(NSString *)path NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// EEXIST where something has the name already, or where that is to be replaced and is neither a file nor a symbolic
/// link (EISDIR for a folder); 0 where a file can get the name, as far as can be seen.
- (int)lookForNameToBeReplaced:(BOOL)replaced;

/// Whether a file is in the folder's file system.
- (BOOL)isInFileSystemOf:(HostDescriptor *)file;

/// Makes the file, empty.
- (int)create;

/// Takes a file that has no name, in place of making one.
- (void)adopt:(HostDescriptor *)file;

@property (readonly, nullable) HostDescriptor *file;

/// Gives the file its name: EEXIST where something has it, which is not touched; EXDEV where the file cannot have one
/// there.
- (int)giveName;

/// Puts the file in the place of the one with its name, and may be used by whoever might use that. EEXIST where that is
/// neither a file nor a symbolic link, and EISDIR for a folder; EXDEV where the file cannot have a name there.
- (int)replace;

/// Lets go of the file, which is gone unless it got its name or was adopted.
- (void)giveUp;

@end

NS_ASSUME_NONNULL_END
