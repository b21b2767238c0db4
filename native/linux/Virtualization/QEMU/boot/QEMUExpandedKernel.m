// SPDX-License-Identifier: Apache-2.0
#import "QEMUExpandedKernel.h"
#import "configuration/VZConfiguration+Private.h"
#import "QEMU/program/QEMUAccelerator.h"
#import "host/HostDecompression.h"
#import "host/linux_kernel/LinuxELFKernel.h"
#import "host/linux_kernel/LinuxKernelImage.h"
#import "support/HostFileTransfer.h"
#import <endian.h>
#import <fcntl.h>
#import <stdlib.h>
#import <string.h>
#import <sys/mman.h>
#import <sys/stat.h>
#import <unistd.h>

// Of the kernel's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
enum {
    SETUP_SECTORS_OFFSET = 0x1f1,
    PROTOCOL_OFFSET = 0x206,
    PAYLOAD_OFFSET_OFFSET = 0x248,
    PAYLOAD_LENGTH_OFFSET = 0x24c,
    HEADER_END = 0x250,
    PROTOCOL_WITH_PAYLOAD = 0x208,
    SECTOR_SIZE = 512,
    DEFAULT_SETUP_SECTORS = 4,
};

// So that a program that makes one machine after the other need not wait for it again.
enum { LINGERING_SECONDS = 3 };

static uint32_t little32(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

// What a file claims is believed within these bounds. Whatever is beyond starts as the bzImage that it is, and expands
// itself in its guest's memory rather than in the host's. Debian's kernels have 50 to 65 MiB, four to eight times the
// length that they are compressed to.
enum { LARGEST_PAYLOAD = 128 << 20, LARGEST_KERNEL = 256 << 20, LARGEST_RATIO = 32 };

// Below is what firmware and QEMU's own programs use; above, on some machine, what is no memory.
enum { LOWEST_ADDRESS = 1 << 20 };
static const uint64_t HIGHEST_ADDRESS = (uint64_t)2 << 30;

/// The compressed kernel, for the caller to free, with the length that it says to expand to; NULL where there is none.
static unsigned char *read_payload(int file, size_t *length, uint32_t *expanded_length) {
    unsigned char head[HEADER_END], start[HOST_DECOMPRESSION_MAGIC_LENGTH];
    struct stat status;
    if (fstat(file, &status) != 0 || host_read_at(file, head, sizeof head, 0) != 0 ||
        (head[PROTOCOL_OFFSET] | head[PROTOCOL_OFFSET + 1] << 8) < PROTOCOL_WITH_PAYLOAD)
        return NULL;
    unsigned sectors = head[SETUP_SECTORS_OFFSET] ?: DEFAULT_SETUP_SECTORS;
    uint64_t begin = (uint64_t)(sectors + 1) * SECTOR_SIZE + little32(head + PAYLOAD_OFFSET_OFFSET);
    uint32_t size = little32(head + PAYLOAD_LENGTH_OFFSET);
    if (size < 16 || size > LARGEST_PAYLOAD || begin + size > (uint64_t)status.st_size ||
        host_read_at(file, start, sizeof start, (off_t)begin) != 0 || !host_can_decompress(start, sizeof start))
        return NULL;
    unsigned char *payload = malloc(size);
    if (payload == NULL || host_read_at(file, payload, size, (off_t)begin) != 0) {
        free(payload);
        return NULL;
    }
    // gzip ends with this number by itself; the kernel's build puts it behind what other formats end with.
    *expanded_length = little32(payload + size - 4);
    *length = payload[0] == 0x1f ? size : size - 4;
    return payload;
}

/// What the payload expands to, in pages that are taken as it is written, for the caller to unmap. MAP_FAILED where it
/// is of another length.
static void *expand(const void *payload, size_t length, size_t expanded_length) {
    if (expanded_length == 0 || expanded_length > LARGEST_KERNEL || expanded_length / LARGEST_RATIO > length)
        return MAP_FAILED;
    void *output =
        mmap(NULL, expanded_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (output != MAP_FAILED && !host_decompress(payload, length, output, expanded_length)) {
        munmap(output, expanded_length);
        return MAP_FAILED;
    }
    return output;
}

@interface QEMUKernelExpansion : NSObject
/// That of the file if somebody has it; nil where it has first to be expanded, which the completion is called after, on
/// any thread, once for all who ask meanwhile. Other files are expanded at the same time.
+ (nullable QEMUExpandedKernel *)kernelOfFile:(HostDescriptor *)file
                                     identity:(NSString *)identity
                                   completion:(void (^)(QEMUExpandedKernel *_Nullable))completion;
@end

@implementation QEMUExpandedKernel {
    uint64_t _end; // of the memory that it is loaded into
}

- (instancetype)initWithFile:(int)fileDescriptor memorySize:(uint64_t)memorySize {
    self = [super init];
    size_t length;
    uint32_t expanded_length;
    NSString *identity = [QEMUExpandedKernel identityOfFile:fileDescriptor];
    unsigned char *payload = self != nil ? read_payload(fileDescriptor, &length, &expanded_length) : NULL;
    if (payload == NULL)
        return nil;
    void *kernel = expanded_length <= memorySize ? expand(payload, length, expanded_length) : MAP_FAILED;
    free(payload);
    if (kernel == MAP_FAILED)
        return nil;
    _file = [HostDescriptor sealedMemoryWithBytes:kernel length:expanded_length error:NULL];
    munmap(kernel, expanded_length);
    // Changed while it was read, it is not what was read.
    return _file != nil && [self isSoundOfLength:expanded_length] && [self fitsInto:memorySize] &&
                   [identity isEqual:[QEMUExpandedKernel identityOfFile:fileDescriptor]]
               ? self
               : nil;
}

/// Whether it is a file that QEMU loads whole, and where there is memory in every machine.
- (BOOL)isSoundOfLength:(uint64_t)length {
    linux_elf_kernel kernel = linux_elf_kernel_of_file(_file.number, length);
    _end = kernel.end;
    return kernel.kind == LINUX_ELF_KERNEL_WITH_PVH_NOTE && kernel.is_x86_64 && kernel.loaded_size > 0 &&
           kernel.start >= LOWEST_ADDRESS && kernel.end <= HIGHEST_ADDRESS;
}

- (BOOL)fitsInto:(uint64_t)memorySize {
    return _end < memorySize;
}

/// The file as it is now: another one, or the same one written since, has another identity.
+ (NSString *)identityOfFile:(int)fileDescriptor {
    struct stat status;
    if (fstat(fileDescriptor, &status) != 0)
        return nil;
    return [NSString stringWithFormat:@"%llu %llu %lld %lld.%09ld %lld.%09ld", (unsigned long long)status.st_dev,
                                      (unsigned long long)status.st_ino, (long long)status.st_size,
                                      (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                                      (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec];
}

- (void)linger {
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, LINGERING_SECONDS * (int64_t)NSEC_PER_SEC),
                   dispatch_get_global_queue(QOS_CLASS_UTILITY, 0), ^{
                       (void)self;
                   });
}

#pragma mark Those that are remembered

+ (void)kernelOfConfiguration:(VZVirtualMachineConfiguration *)configuration
                        queue:(dispatch_queue_t)queue
                   completion:(void (^)(QEMUExpandedKernel *))completion {
    NSString *path = [configuration.bootLoader isKindOfClass:[VZLinuxBootLoader class]]
                         ? [(VZLinuxBootLoader *)configuration.bootLoader kernelPath]
                         : nil;
    // A processor of its own expands it in no time.
    if (path == nil || QEMUAccelerator.kvmMissingReason == nil) {
        completion(nil);
        return;
    }
    HostDescriptor *file = [HostDescriptor openPath:path flags:O_RDONLY | O_NONBLOCK error:NULL];
    NSString *identity = file != nil ? [self identityOfFile:file.number] : nil;
    if (identity == nil || LinuxKernelImageRecognize(file.number).kind != LinuxKernelImageKindBzImage) {
        completion(nil);
        return;
    }
    uint64_t memorySize = configuration.memorySize;
    void (^each)(QEMUExpandedKernel *) = ^(QEMUExpandedKernel *kernel) {
        completion([kernel fitsInto:memorySize] ? kernel : nil);
    };
    QEMUExpandedKernel *known = [QEMUKernelExpansion kernelOfFile:file
                                                         identity:identity
                                                       completion:^(QEMUExpandedKernel *kernel) {
                                                           dispatch_async(queue, ^{
                                                               each(kernel);
                                                           });
                                                       }];
    if (known != nil)
        each(known);
}

@end

@implementation QEMUKernelExpansion {
    __weak QEMUExpandedKernel *_kernel;                       // it is there as long as somebody has it
    NSMutableArray<void (^)(QEMUExpandedKernel *)> *_waiting; // nil unless it is under way
}

+ (QEMUExpandedKernel *)kernelOfFile:(HostDescriptor *)file
                            identity:(NSString *)identity
                          completion:(void (^)(QEMUExpandedKernel *))completion {
    static NSMutableDictionary<NSString *, QEMUKernelExpansion *> *expansions; // by the identity of the file
    QEMUKernelExpansion *expansion;
    @synchronized(self) {
        expansions = expansions ?: [NSMutableDictionary dictionary];
        expansion = expansions[identity];
        QEMUExpandedKernel *kernel = expansion != nil ? expansion->_kernel : nil;
        if (kernel != nil)
            return kernel;
        if (expansion != nil && expansion->_waiting != nil) {
            [expansion->_waiting addObject:completion];
            return nil;
        }
        for (NSString *other in expansions.allKeys)
            if (expansions[other]->_waiting == nil && expansions[other]->_kernel == nil)
                [expansions removeObjectForKey:other];
        expansion = [[QEMUKernelExpansion alloc] init];
        expansion->_waiting = [NSMutableArray arrayWithObject:completion];
        expansions[identity] = expansion;
    }
    dispatch_async(dispatch_get_global_queue(QOS_CLASS_DEFAULT, 0), ^{
        // For every machine: it is each one's own affair whether it fits into its memory.
        QEMUExpandedKernel *kernel = [[QEMUExpandedKernel alloc] initWithFile:file.number memorySize:UINT64_MAX];
        NSArray<void (^)(QEMUExpandedKernel *)> *waiting;
        @synchronized(self) {
            expansion->_kernel = kernel;
            waiting = expansion->_waiting;
            expansion->_waiting = nil;
        }
        for (void (^each)(QEMUExpandedKernel *) in waiting)
            each(kernel);
    });
    return nil;
}

@end
