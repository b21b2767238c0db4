// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDirectoryShare.h>

NS_ASSUME_NONNULL_BEGIN

@class VZSharedDirectory;

/// Several directories of the host: what the guest mounts has a folder for each, by its name.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZMultipleDirectoryShare : VZDirectoryShare

/// A share without directories.
- (instancetype)init;

/// The keys must be valid names.
- (instancetype)initWithDirectories:(NSDictionary<NSString *, VZSharedDirectory *> *)directories
    NS_DESIGNATED_INITIALIZER;

@property (readonly, copy) NSDictionary<NSString *, VZSharedDirectory *> *directories;

/// Whether name can be that of a directory: at most 255 bytes in UTF-8, without a slash or a NUL character, and not
/// empty, "." or "..".
+ (BOOL)validateName:(NSString *)name error:(NSError **)error;

/// A valid name that is like name: what cannot stand in one is replaced, and what is too long left out. nil where
/// nothing like it can be one.
+ (nullable NSString *)canonicalizedNameFromName:(NSString *)name;

@end

NS_ASSUME_NONNULL_END
