// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

typedef NS_ENUM(NSInteger, AppleVZProcessor) {
    AppleVZProcessorARM64,
    AppleVZProcessorX86_64,
};

/// The kernels that a framework boots, if it does not say so itself: those of the processor that this library is
/// compiled for, since that is the processor of its guests.
@interface AppleVZKernels : NSObject

+ (AppleVZProcessor)processor;

/// Why the kernel of a Linux boot loader will not be booted: Apple silicon boots an uncompressed Image, and fails
/// without a word for whatever else. nil if it may be, if the framework looks at kernels itself, and for other
/// boot loaders. A kilobyte of the file is read; what is no regular file is not opened. To be asked again before a
/// start: a file changes.
+ (nullable NSError *)errorOfKernelIn:(VZVirtualMachineConfiguration *)configuration;

@end

NS_ASSUME_NONNULL_END
