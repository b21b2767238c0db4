// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// An attachment, and the name of the device in whose place it stands, such as "storageDevices[0]".
@interface VZNamedStorageDeviceAttachment : NSObject
- (instancetype)initWithName:(NSString *)name attachment:(VZStorageDeviceAttachment *)attachment;
@property (readonly) NSString *name;
@property (readonly) VZStorageDeviceAttachment *attachment;
@end

/// Refuses devices of one machine that have the same data, where one of them writes: the guest's two caches would
/// contradict each other.
extern BOOL VZValidateStorageIsDistinct(NSArray<VZNamedStorageDeviceAttachment *> *attachments,
                                        NSError *_Nullable __autoreleasing *_Nullable error);

NS_ASSUME_NONNULL_END
