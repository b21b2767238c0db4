// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What a file of the host says of a program or of firmware, as JSON (QEMU's docs/interop/firmware.json and
/// vhost-user.json). nil where it is no regular file, says nothing, is far too long for one, or no object. It is looked
/// into with json_values.h alone.
NSDictionary<NSString *, id> *_Nullable QEMUDescriptionInFile(NSString *path);

/// The paths of the descriptions in some folders, from the most to the least important one: by their names, of which
/// one hides the same in a less important folder.
NSArray<NSString *> *QEMUDescriptionsInFolders(NSArray<NSString *> *folders);

NS_ASSUME_NONNULL_END
