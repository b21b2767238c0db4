// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// What the QEMU that is there has: looked up in it, not in its version, which does not tell how it was built. It is
/// asked once for each program, in a process without a machine, and only when somebody wants to know.
@interface QEMUFeatures : NSObject

/// nil, with an error that says why, where there is no QEMU, where it is too old, or where it does not answer.
+ (nullable instancetype)featuresWithError:(NSError **)error;

- (instancetype)init NS_UNAVAILABLE;

/// Its version, "7.2".
@property (readonly) NSString *version;

/// The first of the types of its object model that it does not have; nil where it has all of them.
- (nullable NSString *)missingType:(NSArray<NSString *> *)types;

/// The same of what its migration can do.
- (nullable NSString *)missingMigrationCapability:(NSArray<NSString *> *)names;

@end

NS_ASSUME_NONNULL_END
