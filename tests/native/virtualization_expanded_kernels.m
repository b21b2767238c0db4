// SPDX-License-Identifier: Apache-2.0
// Says of each file that it is given the length of the kernel that is expanded from it for a machine with 16 MiB, and the
// sum of its bytes, or "none". Without a file it has nothing to say.
#import "virtualization_support.h"
#import "Virtualization/QEMU/QEMUExpandedKernel.h"
#include <sys/mman.h>

static void tell(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    QEMUExpandedKernel *kernel = [[QEMUExpandedKernel alloc] initWithFile:descriptor memorySize:16 << 20];
    close(descriptor);
    if (!kernel) {
        puts("none");
        return;
    }
    struct stat status;
    fstat(kernel.file.number, &status);
    const unsigned char *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, kernel.file.number, 0);
    unsigned long sum = 0;
    for (off_t i = 0; i < status.st_size; i++) {
        sum += bytes[i];
    }
    munmap((void *)bytes, (size_t)status.st_size);
    printf("%lld %lu\n", (long long)status.st_size, sum);
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        @autoreleasepool {
            tell(arguments[i]);
        }
    }
    return 0;
}
