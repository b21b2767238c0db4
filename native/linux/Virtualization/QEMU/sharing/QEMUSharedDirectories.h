// SPDX-License-Identifier: Apache-2.0
#import "host/HostShareMounts.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

// The directories of a share, as the functions of HostShareMounts.h take them.

/// By the names under which the guest finds them; that of a VZSingleDirectoryShare, which has none, by an empty one.
NSDictionary<NSString *, VZSharedDirectory *> *QEMUDirectoriesOfShare(VZDirectoryShare *_Nullable share);

/// Where in its share the directory of that name is: "directories["name"]".
NSString *QEMUPropertyOfDirectory(NSString *name);

/// The directories of a share, opened and held: what was looked at is what is served.
@interface QEMUOpenDirectories : NSObject
/// nil, with an error whose reason begins with the property, where one of them cannot be shared. The property is the
/// share's.
- (nullable instancetype)initWithShare:(nullable VZDirectoryShare *)share
                                    as:(NSString *)property
                                 error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
/// In an order.
@property (readonly) NSArray<NSString *> *names;
/// For each name the directory, as long as this object and the current autorelease pool live.
@property (readonly) host_shared_directory *native;
@end

NS_ASSUME_NONNULL_END
