// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import <Virtualization/Virtualization.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

/// The kernel that is compressed inside of a bzImage. An emulated guest would take most of a second to expand it; QEMU
/// enters it as it is by its PVH note. It is in memory, as a file without a name, which is there as long as this
/// object.
@interface QEMUExpandedKernel : NSObject

- (instancetype)init NS_UNAVAILABLE;

/// That of the bzImage which is open there, for a machine with so much memory. nil where there is none to be had: the
/// file is something else, is damaged, or is compressed in a way that this host has no library for; what is in it is no
/// x86-64 ELF file with a PVH note, or does not fit into that memory.
- (nullable instancetype)initWithFile:(int)fileDescriptor memorySize:(uint64_t)memorySize NS_DESIGNATED_INITIALIZER;

@property (readonly) HostDescriptor *file;

/// Keeps it some seconds longer than whoever had it.
- (void)linger;

/// Gives the kernel that a machine of that configuration is to be started with, on the queue, or at once; nil where it
/// starts with the file as it is. One is given again while anybody has it and its bzImage is the same. Different ones
/// are expanded at the same time.
+ (void)kernelOfConfiguration:(VZVirtualMachineConfiguration *)configuration
                        queue:(dispatch_queue_t)queue
                   completion:(void (^)(QEMUExpandedKernel *_Nullable kernel))completion;

@end

NS_ASSUME_NONNULL_END
