// SPDX-License-Identifier: Apache-2.0
#import "kernels.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/descriptors.h"
#import "boundary/errors.h"
#import "boundary/files.h"
#import "boundary/text.h"
#import <errno.h>
#import <fcntl.h>
#import <kernel_files.h>
#import <shown_text.h>
#import <string.h>
#import <sys/stat.h>
#import <unistd.h>

enum { LONGEST_SHOWN_PATH = 400 };

@implementation AppleVZKernels

+ (AppleVZProcessor)processor {
#if defined(__aarch64__)
    return AppleVZProcessorARM64;
#elif defined(__x86_64__)
    return AppleVZProcessorX86_64;
#else
#error "no kernel image format is known for this processor"
#endif
}

static NSError *kernel_error(NSData *path, NSString *what, NSString *suggestion, int number) {
    NSString *text = [[NSString alloc] initWithData:path encoding:NSUTF8StringEncoding]
                         ?: applevz_shown_bytes(path.bytes, path.length);
    NSString *reason = [NSString stringWithFormat:@"bootLoader.kernelURL is \"%@\", which %@.",
                                                  applevz_shown_text(text, LONGEST_SHOWN_PATH, NO), what];
    NSError *cause = nil;
    if (number != 0)
        cause = applevz_error_with_file(applevz_posix_error(number), path.bytes, path.length);
    return applevz_error_with_cause(VZErrorDomain, APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_CONFIGURATION,
                                    APPLEVZ_OPENS_WITH_FAILURE, @"Invalid virtual machine configuration.", reason,
                                    suggestion, cause);
}

static NSError *error_of_system(NSData *path, NSString *what, int number) {
    return kernel_error(path, [NSString stringWithFormat:@"%@: %s", what, strerror(number)],
                        @"Name an existing file that this user may read.", number);
}

/// The file, open and regular; -1 with an error. Looked at before it is opened, because of what opening can do, and
/// after, because the path can have changed.
static int open_kernel(NSData *path, NSError **error) {
    NSMutableData *name = [path mutableCopy];
    [name appendBytes:"" length:1];
    struct stat status;
    int file = -1;
    if (stat(name.bytes, &status) != 0) {
        *error = error_of_system(path, @"cannot be found", errno);
        return -1;
    }
    if (S_ISREG(status.st_mode)) {
        file = applevz_descriptor_above_standard(open(name.bytes, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (file < 0) {
            *error = error_of_system(path, @"cannot be opened", errno);
            return -1;
        }
    }
    if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
        return file;
    if (file >= 0)
        close(file);
    *error = kernel_error(path,
                          S_ISDIR(status.st_mode)   ? @"is a directory; it must be a regular file"
                          : S_ISREG(status.st_mode) ? @"is empty"
                                                    : @"is no regular file, as it must be",
                          @"Name an existing file that this user may read.", S_ISDIR(status.st_mode) ? EISDIR : 0);
    return -1;
}

/// Nobody has documented what Intel's Macs make of an uncompressed vmlinux: it is tried.
static BOOL is_booted(applevz_kernel_file file) {
    if ([AppleVZKernels processor] == AppleVZProcessorARM64)
        return file.kind == APPLEVZ_KERNEL_ARM64_IMAGE;
    return file.kind == APPLEVZ_KERNEL_BZIMAGE ||
           (file.kind == APPLEVZ_KERNEL_ELF && file.machine == APPLEVZ_MACHINE_X86_64);
}

static NSString *suggestion_for(applevz_kernel_file file) {
    NSString *wanted = [AppleVZKernels processor] == AppleVZProcessorARM64 ? @"an uncompressed arm64 Image"
                                                                           : @"an x86_64 bzImage (vmlinuz)";
    NSString *expansion = applevz_kernel_expansion(file);
    if (expansion != nil)
        return [NSString stringWithFormat:@"%@; on this host the result must be %@.", expansion, wanted];
    if (file.kind == APPLEVZ_KERNEL_EFI_PROGRAM)
        return [NSString stringWithFormat:@"This host boots %@ so; an EFIBootLoader boots what is on a disk.", wanted];
    return [NSString stringWithFormat:@"This host boots %@.", wanted];
}

+ (NSError *)errorOfKernelIn:(VZVirtualMachineConfiguration *)configuration {
    VZLinuxBootLoader *boot_loader = (VZLinuxBootLoader *)configuration.bootLoader;
    Class<AppleVZBootLoaderExtensions> extensions = (Class)[VZLinuxBootLoader class];
    if (![boot_loader isKindOfClass:[VZLinuxBootLoader class]] ||
        ([VZLinuxBootLoader respondsToSelector:@selector(applevzValidatesKernels)] &&
         [extensions applevzValidatesKernels]))
        return nil;
    NSData *path = applevz_path_of_file_url(boot_loader.kernelURL);
    NSError *error = nil;
    int descriptor = path != nil ? open_kernel(path, &error) : -1;
    if (descriptor < 0)
        return error;
    applevz_kernel_file file = applevz_kernel_file_at(descriptor);
    close(descriptor);
    if (is_booted(file))
        return nil;
    return kernel_error(path, [@"is " stringByAppendingString:applevz_kernel_description(file)], suggestion_for(file),
                        0);
}

@end
