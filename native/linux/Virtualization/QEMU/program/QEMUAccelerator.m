// SPDX-License-Identifier: Apache-2.0
#import "QEMUAccelerator.h"
#import "host/HostSpawn.h"
#import <dispatch/descriptor.h>
#import <dispatch/dispatch.h>
#import <errno.h>
#import <fcntl.h>
#import <linux/kvm.h>
#import <stdio.h>
#import <string.h>
#import <sys/ioctl.h>
#import <sys/mman.h>
#import <unistd.h>

enum { PROBE_MILLISECONDS = 1000, PROBE_PAGE_SIZE = 4096, PROBE_PORT = 0x80, PROBE_VALUE = 0x5a };

static const char kvm_device[] = "/dev/kvm";

/// A guest in real mode that writes one byte to a port. Runs in a child by system calls alone.
static bool probe_guest_runs(void) {
    static const unsigned char code[] = {0xb0, PROBE_VALUE, 0xe6, PROBE_PORT, 0xf4}; // mov al, …; out …, al; hlt
    int kvm = open(kvm_device, O_RDWR | O_CLOEXEC);
    if (kvm < 0 || ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return false;
    int machine = ioctl(kvm, KVM_CREATE_VM, 0);
    if (machine < 0)
        return false;
    unsigned char *memory = mmap(NULL, PROBE_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    memcpy(memory, code, sizeof code);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = PROBE_PAGE_SIZE, .memory_size = PROBE_PAGE_SIZE, .userspace_addr = (uintptr_t)memory};
    if (ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) != 0)
        return false;
    int processor = ioctl(machine, KVM_CREATE_VCPU, 0);
    int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (processor < 0 || run_size < (int)sizeof(struct kvm_run))
        return false;
    struct kvm_run *run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0);
    if (run == MAP_FAILED)
        return false;
    struct kvm_sregs segments;
    if (ioctl(processor, KVM_GET_SREGS, &segments) != 0)
        return false;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    struct kvm_regs registers = {.rip = PROBE_PAGE_SIZE, .rflags = 2};
    if (ioctl(processor, KVM_SET_SREGS, &segments) != 0 || ioctl(processor, KVM_SET_REGS, &registers) != 0)
        return false;
    if (ioctl(processor, KVM_RUN, 0) != 0 || run->exit_reason != KVM_EXIT_IO)
        return false;
    return run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PROBE_PORT &&
           *((unsigned char *)run + run->io.data_offset) == PROBE_VALUE;
}

static BOOL processor_has_virtualization(void) {
    int descriptor = descriptor_above_standard(open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC));
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "r") : NULL;
    if (file == NULL) {
        close(descriptor);
        return NO;
    }
    char line[8192];
    BOOL found = NO;
    while (!found && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "flags", 5) == 0)
            found = strstr(line, " vmx") != NULL || strstr(line, " svm") != NULL;
    fclose(file);
    return found;
}

@implementation QEMUAccelerator

static NSString *missing_reason;
static NSString *missing_suggestion;

static void look(void) {
    int descriptor = descriptor_above_standard(open(kvm_device, O_RDWR | O_CLOEXEC));
    if (descriptor < 0) {
        int number = errno;
        missing_reason = [NSString stringWithFormat:@"%s cannot be opened: %s.", kvm_device, strerror(number)];
        missing_suggestion = number == ENOENT ? @"Load the kernel module kvm_intel or kvm_amd."
                                              : @"Give this user access to the device, as by the group kvm.";
        return;
    }
    close(descriptor);
    if (!processor_has_virtualization()) {
        missing_reason =
            [NSString stringWithFormat:@"%s is there, but the processor has neither the flag vmx nor svm.", kvm_device];
        missing_suggestion = @"Turn virtualization on in the firmware or, if this is a virtual machine itself, nested "
                             @"virtualization in its host.";
        return;
    }
    if (!host_probe_in_child(probe_guest_runs, PROBE_MILLISECONDS)) {
        missing_reason =
            [NSString stringWithFormat:@"%s opens, but a guest of a few instructions did not run on it.", kvm_device];
        missing_suggestion = @"Look for messages of kvm in the kernel's log.";
    }
}

+ (void)lookOnce {
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        look();
    });
}

+ (NSString *)kvmMissingReason {
    [self lookOnce];
    return missing_reason;
}

+ (NSString *)kvmMissingSuggestion {
    [self lookOnce];
    return missing_suggestion;
}

/// The module that KVM runs on, if it does and gives its guests no virtualization. It can be loaded anew in the life of
/// the process.
static NSString *module_without_nesting(void) {
    for (NSString *module in @[ @"kvm_intel", @"kvm_amd" ]) {
        NSString *path = [NSString stringWithFormat:@"/sys/module/%@/parameters/nested", module];
        NSString *value = [NSString stringWithContentsOfFile:path encoding:NSUTF8StringEncoding error:NULL];
        if (value != nil && ![value hasPrefix:@"Y"] && ![value hasPrefix:@"1"])
            return module;
    }
    return nil;
}

+ (NSString *)nestedMissingReason {
    NSString *module = self.kvmMissingReason == nil ? module_without_nesting() : nil;
    return module == nil ? nil : [NSString stringWithFormat:@"The kernel module %@ was loaded without it.", module];
}

+ (NSString *)nestedMissingSuggestion {
    NSString *module = self.kvmMissingReason == nil ? module_without_nesting() : nil;
    return module == nil ? nil : [NSString stringWithFormat:@"Load %@ with nested=1.", module];
}

@end
