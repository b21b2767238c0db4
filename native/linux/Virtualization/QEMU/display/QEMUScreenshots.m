// SPDX-License-Identifier: Apache-2.0
#import "QEMUScreenshots.h"
#import "support/HostFileTransfer.h"
#import "support/VZErrors+Private.h"
#import <fcntl.h>
#import <sys/stat.h>
#import <unistd.h>

// As large as a picture is that QEMU draws; a file without data can claim any length.
enum { LARGEST_PICTURE = 256 * 1024 * 1024 };

typedef void (^Completion)(int descriptor, NSError *_Nullable error);

static NSError *screenshot_error(NSString *reason, NSError *underlying) {
    return VZErrorWithReason(VZErrorInternal, @"The screenshot could not be taken.", reason, nil, underlying);
}

/// A copy of the file, in memory; -1 with errno.
static int copy_of_file(int file, off_t size, NSError **error) {
    HostDescriptor *copy = [HostDescriptor memoryOfSize:0 error:error];
    if (copy == nil)
        return -1;
    int failure = host_copy(file, copy.number, size);
    if (failure != 0) {
        VZRefuse(error, VZSystemCallError(failure, nil));
        return -1;
    }
    // Opened anew, since this one's position is at its end.
    HostDescriptor *result = [copy reopenedWithFlags:O_RDWR error:error];
    if (result == nil)
        return -1;
    return [result relinquish];
}

@implementation QEMUScreenshots {
    __weak QEMUInstance *_instance;
    NSMutableArray<Completion> *_waiting; // the first is under way
}

- (instancetype)initWithInstance:(QEMUInstance *)instance {
    self = [super init];
    if (self != nil) {
        _instance = instance;
        _waiting = [NSMutableArray array];
    }
    return self;
}

- (void)takeWithCompletion:(Completion)completion {
    [_waiting addObject:completion];
    if (_waiting.count == 1)
        [self begin];
}

- (void)finishWithDescriptor:(int)descriptor error:(NSError *)error {
    Completion completion = _waiting[0];
    [_waiting removeObjectAtIndex:0];
    completion(descriptor, error);
    if (_waiting.count > 0)
        [self begin];
}

- (void)begin {
    QEMUInstance *instance = _instance;
    if (!instance.isAnswering) {
        [self finishWithDescriptor:-1 error:screenshot_error(@"The virtual machine has ended.", nil)];
        return;
    }
    // The block keeps this object until it is called, which it is once.
    HostDescriptor *file = instance.commandLine.screenshotFile;
    [instance execute:@"screendump"
            arguments:@{
                @"filename" : instance.commandLine.screenshotPath,
                @"format" : @"png",
                @"device" : QEMUGraphicsDeviceIdentifier,
                @"head" : @0,
            }
           completion:^(id result, NSError *refusal) {
               (void)result;
               if (refusal != nil)
                   [self finishWithDescriptor:-1 error:[self errorOfRefusal:refusal]];
               else
                   [self takeFile:file];
           }];
}

- (NSError *)errorOfRefusal:(NSError *)refusal {
    NSString *words = refusal.localizedFailureReason ?: refusal.localizedDescription;
    // QEMU can be built without it, and says so when it is asked for such a picture.
    if ([words rangeOfString:@"libpng"].location != NSNotFound)
        return VZErrorWithReason(VZErrorNotSupported, @"Screenshots cannot be taken with this QEMU.", words,
                                 @"Use a QEMU that was built with libpng.", refusal);
    return screenshot_error(words, refusal);
}

- (void)takeFile:(HostDescriptor *)file {
    struct stat status;
    NSError *cause = nil;
    if (fstat(file.number, &status) != 0 || status.st_size == 0) {
        [self finishWithDescriptor:-1 error:screenshot_error(@"QEMU wrote no picture.", nil)];
        return;
    }
    if (status.st_size > LARGEST_PICTURE) {
        (void)!ftruncate(file.number, 0);
        [self finishWithDescriptor:-1
                             error:screenshot_error(
                                       [NSString stringWithFormat:@"QEMU wrote %lld bytes; a picture has at most %d.",
                                                                  (long long)status.st_size, LARGEST_PICTURE],
                                       nil)];
        return;
    }
    int copy = copy_of_file(file.number, status.st_size, &cause);
    // What it takes is given back until the next.
    (void)!ftruncate(file.number, 0);
    if (copy < 0)
        [self finishWithDescriptor:-1
                             error:screenshot_error([NSString stringWithFormat:@"There is no file for it: %@.",
                                                                               VZSystemCallErrorText((int)cause.code)],
                                                    cause)];
    else
        [self finishWithDescriptor:copy error:nil];
}

@end
