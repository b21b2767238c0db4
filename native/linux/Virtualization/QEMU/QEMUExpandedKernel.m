// SPDX-License-Identifier: Apache-2.0
#import "QEMUExpandedKernel.h"
#import "../VZConfiguration+Private.h"
#import "QEMUAccelerator.h"
#import "QEMUDecompression.h"
#import "QEMUKernelImage.h"
#import "QEMUMemoryCopy.h"
#import <elf.h>
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

/// The compressed kernel, for the caller to free, with the length that it expands to; NULL where there is none of a size that
/// a machine could hold.
static unsigned char *read_payload(int file, uint64_t limit, size_t *length, uint32_t *expanded_length) {
    unsigned char head[HEADER_END];
    struct stat status;
    if (fstat(file, &status) != 0 || pread(file, head, sizeof head, 0) != (ssize_t)sizeof head ||
        (head[PROTOCOL_OFFSET] | head[PROTOCOL_OFFSET + 1] << 8) < PROTOCOL_WITH_PAYLOAD)
        return NULL;
    unsigned sectors = head[SETUP_SECTORS_OFFSET] ?: DEFAULT_SETUP_SECTORS;
    uint64_t begin = (uint64_t)(sectors + 1) * SECTOR_SIZE + little32(head + PAYLOAD_OFFSET_OFFSET);
    uint32_t size = little32(head + PAYLOAD_LENGTH_OFFSET);
    if (size < 16 || size > limit || begin + size > (uint64_t)status.st_size)
        return NULL;
    unsigned char *payload = malloc(size);
    if (payload == NULL || qemu_read_at(file, payload, size, (off_t)begin) != 0) {
        free(payload);
        return NULL;
    }
    // gzip ends with this number by itself; the kernel's build puts it behind what other formats end with.
    *expanded_length = little32(payload + size - 4);
    *length = payload[0] == 0x1f ? size : size - 4;
    return payload;
}

/// Whether it is a file that QEMU loads whole, into that much memory.
static BOOL is_sound(const unsigned char *kernel, size_t length, uint64_t memory_size) {
    Elf64_Ehdr header;
    if (length < sizeof header)
        return NO;
    memcpy(&header, kernel, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || le16toh(header.e_machine) != EM_X86_64 ||
        le16toh(header.e_phentsize) != sizeof(Elf64_Phdr))
        return NO;
    uint64_t table = le64toh(header.e_phoff);
    size_t count = le16toh(header.e_phnum);
    if (table > length || count * sizeof(Elf64_Phdr) > length - table)
        return NO;
    for (size_t i = 0; i < count; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, kernel + table + i * sizeof segment, sizeof segment);
        if (le32toh(segment.p_type) != PT_LOAD)
            continue;
        uint64_t offset = le64toh(segment.p_offset), size = le64toh(segment.p_filesz);
        uint64_t address = le64toh(segment.p_paddr), room = le64toh(segment.p_memsz);
        if (offset > length || size > length - offset || size > room || address > memory_size ||
            room > memory_size - address)
            return NO;
    }
    return YES;
}

@implementation QEMUExpandedKernel {
    NSString *_identity; // of the bzImage
}

- (instancetype)initWithFile:(int)fileDescriptor memorySize:(uint64_t)memorySize {
    self = [super init];
    size_t length;
    uint32_t expanded_length;
    unsigned char *payload = self != nil ? read_payload(fileDescriptor, memorySize, &length, &expanded_length) : NULL;
    if (payload == NULL)
        return nil;
    _identity = [QEMUExpandedKernel identityOfFile:fileDescriptor];
    BOOL expanded = expanded_length <= memorySize && [self expand:payload length:length to:expanded_length];
    free(payload);
    // Changed while it was read, it is not what was read.
    return expanded && [self fitsInto:memorySize] &&
                   [_identity isEqual:[QEMUExpandedKernel identityOfFile:fileDescriptor]]
               ? self
               : nil;
}

- (BOOL)expand:(const void *)payload length:(size_t)length to:(size_t)expandedLength {
    if (expandedLength == 0)
        return NO;
    _file = [QEMUDescriptor memoryOfSize:expandedLength error:NULL];
    // With its room taken first: a page that cannot be had later would be a signal, not an error.
    if (_file == nil || fallocate(_file.number, 0, 0, (off_t)expandedLength) != 0)
        return NO;
    void *output = mmap(NULL, expandedLength, PROT_READ | PROT_WRITE, MAP_SHARED, _file.number, 0);
    if (output == MAP_FAILED)
        return NO;
    BOOL whole = qemu_decompress(payload, length, output, expandedLength);
    munmap(output, expandedLength);
    return whole;
}

- (BOOL)fitsInto:(uint64_t)memorySize {
    QEMUKernelImage image = QEMUKernelImageRecognize(_file.number);
    struct stat status;
    if (image.kind != QEMUKernelImageKindELFWithPVHNote || image.loadedSize >= memorySize ||
        fstat(_file.number, &status) != 0)
        return NO;
    size_t length = (size_t)status.st_size;
    void *kernel = mmap(NULL, length, PROT_READ, MAP_SHARED, _file.number, 0);
    if (kernel == MAP_FAILED)
        return NO;
    BOOL sound = is_sound(kernel, length, memorySize);
    munmap(kernel, length);
    return sound;
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

#pragma mark The one that is remembered

static __weak QEMUExpandedKernel *remembered;

+ (nullable QEMUExpandedKernel *)rememberedOfFile:(int)fileDescriptor memorySize:(uint64_t)memorySize {
    QEMUExpandedKernel *kernel;
    @synchronized(self) {
        kernel = remembered;
    }
    return kernel != nil && [kernel->_identity isEqual:[self identityOfFile:fileDescriptor]] && [kernel fitsInto:memorySize]
               ? kernel
               : nil;
}

- (void)linger {
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, LINGERING_SECONDS * (int64_t)NSEC_PER_SEC),
                   dispatch_get_global_queue(QOS_CLASS_UTILITY, 0), ^{
                       (void)self;
                   });
}

+ (void)kernelOfConfiguration:(VZVirtualMachineConfiguration *)configuration
                        queue:(dispatch_queue_t)queue
                   completion:(void (^)(QEMUExpandedKernel *))completion {
    // One at a time, so that machines that are started together with one kernel have it expanded once.
    static dispatch_queue_t expanding;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        expanding = dispatch_queue_create("applevz.kernels", DISPATCH_QUEUE_SERIAL);
    });
    NSString *path = [configuration.bootLoader isKindOfClass:[VZLinuxBootLoader class]]
                         ? [(VZLinuxBootLoader *)configuration.bootLoader kernelPath]
                         : nil;
    // A processor of its own expands it in no time.
    if (path == nil || QEMUAccelerator.kvmMissingReason == nil) {
        completion(nil);
        return;
    }
    QEMUDescriptor *file = [QEMUDescriptor openPath:path flags:O_RDONLY | O_NONBLOCK error:NULL];
    if (file == nil || QEMUKernelImageRecognize(file.number).kind != QEMUKernelImageKindBzImage) {
        completion(nil);
        return;
    }
    uint64_t memorySize = configuration.memorySize;
    QEMUExpandedKernel *known = [self rememberedOfFile:file.number memorySize:memorySize];
    if (known != nil) {
        completion(known);
        return;
    }
    dispatch_async(expanding, ^{
        QEMUExpandedKernel *kernel = [self rememberedOfFile:file.number memorySize:memorySize]
                                         ?: [[QEMUExpandedKernel alloc] initWithFile:file.number memorySize:memorySize];
        @synchronized(self) {
            remembered = kernel;
        }
        dispatch_async(queue, ^{
            completion(kernel);
        });
    });
}

@end
