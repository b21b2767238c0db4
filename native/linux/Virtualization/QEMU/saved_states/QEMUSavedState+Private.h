// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedState.h"
#import "QEMUSavedStateFormat.h"
#import "support/VZHostFile+Private.h"

NS_ASSUME_NONNULL_BEGIN

@interface QEMUSavedState () {
  @package
    NSString *_path;
    VZHostFile *_hostFile; // owns what _file is a duplicate of
    qemu_saved_state_trailer _trailer;
    BOOL _hasNoEnd; // of a saved state
    NSArray<NSArray<NSString *> *> *_fields;
    NSDictionary<NSString *, NSArray<QEMUDiskLayer *> *> *_disks;
    NSArray<NSString *> *_namesOfDisks;            // in their order
    NSDictionary<NSString *, NSString *> *_images; // where they were, escaped, by the name of the disk
    int64_t _made;
}

/// What is wrong with the lengths, in a state of a machine with that memory; nil if nothing is. The words follow on the
/// name of the file.
- (nullable NSString *)wrongWithLengthsOfMachine:(uint64_t)memorySize;

@end

NS_ASSUME_NONNULL_END
