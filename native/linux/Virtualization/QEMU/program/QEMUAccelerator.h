// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// Whether KVM runs guests on this host: the processor has the extension, the device opens, and a guest of a few
/// instructions really ran. The device alone proves nothing: a host can have it and never run a guest. Looked at once
/// in the life of the process.
@interface QEMUAccelerator : NSObject

/// nil where KVM is usable; otherwise what is missing, as one sentence, and what would fix it.
+ (nullable NSString *)kvmMissingReason;
+ (nullable NSString *)kvmMissingSuggestion;

/// The same for guests that run machines of their own on the virtualization of their processor: KVM's module allows it
/// or not. The processor that QEMU emulates has AMD's.
+ (nullable NSString *)nestedMissingReason;
+ (nullable NSString *)nestedMissingSuggestion;

@end

NS_ASSUME_NONNULL_END
