// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// How a variable store is made.
typedef NS_OPTIONS(NSUInteger, VZEFIVariableStoreInitializationOptions) {
    /// A file that is there already is replaced. Without it such a file is refused, and stays.
    VZEFIVariableStoreInitializationOptionAllowOverwrite = 1ULL << 0,
} API_AVAILABLE(macos(13.0));

/// The file that keeps a machine's EFI variables, such as what to boot, while the machine does not run.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZEFIVariableStore : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// A store that is there already. Its file is not looked at before a configuration is validated.
- (instancetype)initWithURL:(NSURL *)URL;

/// Makes the file of a store without variables of anybody's. nil with an error where that cannot be.
- (nullable instancetype)initCreatingVariableStoreAtURL:(NSURL *)URL
                                                options:(VZEFIVariableStoreInitializationOptions)options
                                                  error:(NSError **)error;

@property (readonly, copy) NSURL *URL;

@end

NS_ASSUME_NONNULL_END
