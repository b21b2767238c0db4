// SPDX-License-Identifier: Apache-2.0
// Says of each file that it is given the length of the kernel that is expanded from it for a machine with 16 MiB, and
// the sum of its bytes, or "none". After the word "together" they are for machines with 16 GiB each, all started at
// once: it tells them in the order in which they are ready, each with its number, and in the end how many different
// objects they were and how much room was asked for at most for one of them. Without a file it has nothing to say.
#import "virtualization_support.h"
#import "QEMU/boot/QEMUExpandedKernel.h"
#include <sys/mman.h>
#include <sys/syscall.h>

static _Atomic(long long) largest;

// What the classes call, in place of the C library's: no limit of the system's holds for files in memory.
static long asked(long long end, long result) {
    largest = end > largest ? end : largest;
    return result;
}

int ftruncate(int file, off_t length) {
    return (int)asked(length, syscall(SYS_ftruncate, file, length));
}

int fallocate(int file, int mode, off_t offset, off_t length) {
    return (int)asked(offset + length, syscall(SYS_fallocate, file, mode, offset, length));
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return asked(offset + (long long)length, syscall(SYS_pwrite64, file, bytes, length, offset));
}

static NSString *told(QEMUExpandedKernel *kernel) {
    if (!kernel) {
        return @"none";
    }
    struct stat status;
    fstat(kernel.file.number, &status);
    const unsigned char *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, kernel.file.number, 0);
    unsigned long sum = 0;
    for (off_t i = 0; i < status.st_size; i++) {
        sum += bytes[i];
    }
    munmap((void *)bytes, (size_t)status.st_size);
    return words(@"%lld %lu", (long long)status.st_size, sum);
}

static void tell(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    QEMUExpandedKernel *kernel = [[QEMUExpandedKernel alloc] initWithFile:descriptor memorySize:16 << 20];
    close(descriptor);
    puts(told(kernel).UTF8String);
}

static void tellTogether(char **paths, int count) {
    dispatch_queue_t queue = dispatch_queue_create("told", DISPATCH_QUEUE_SERIAL);
    dispatch_semaphore_t ready = dispatch_semaphore_create(0);
    NSMutableArray *kernels = [NSMutableArray array];
    for (int i = 0; i < count; i++) {
        VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
        NSURL *url = [NSURL fileURLWithPath:[NSString stringWithUTF8String:paths[i]]];
        configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:url];
        configuration.memorySize = 16ULL << 30;
        [QEMUExpandedKernel kernelOfConfiguration:configuration
                                            queue:queue
                                       completion:^(QEMUExpandedKernel *kernel) {
                                           printf("%d %s\n", i, told(kernel).UTF8String);
                                           if (kernel) {
                                               [kernels addObject:kernel];
                                           }
                                           dispatch_semaphore_signal(ready);
                                       }];
    }
    for (int i = 0; i < count; i++) {
        dispatch_semaphore_wait(ready, DISPATCH_TIME_FOREVER);
    }
    printf("%lu %lld\n", (unsigned long)[NSSet setWithArray:kernels].count, (long long)largest);
}

int main(int count, char **arguments) {
    @autoreleasepool {
        if (count > 1 && strcmp(arguments[1], "together") == 0) {
            tellTogether(arguments + 2, count - 2);
            return 0;
        }
    }
    for (int i = 1; i < count; i++) {
        @autoreleasepool {
            tell(arguments[i]);
        }
    }
    return 0;
}
