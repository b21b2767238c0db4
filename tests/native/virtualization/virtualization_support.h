// SPDX-License-Identifier: Apache-2.0
// For programs that test the configuration classes: checks, a folder of their own, and files to make machines of.
#import <Virtualization/Virtualization.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;
static NSString *folder;

#define CHECK(condition) check((condition), #condition, __LINE__)

static inline void check(BOOL holds, const char *condition, int line) {
    if (!holds) {
        printf("line %d: %s does not hold\n", line, condition);
        failures++;
    }
}

#define CHECK_EQUAL(value, expected) checkEqual((value), (expected), #value, __LINE__)

static inline void checkEqual(id value, id expected, const char *what, int line) {
    if (value != expected && ![value isEqual:expected]) {
        printf("line %d: %s is %s, not %s\n", line, what, [[value description] UTF8String],
               [[expected description] UTF8String]);
        failures++;
    }
}

// The exception's name and reason if body raises one.
static inline NSString *raised(void (^body)(void)) {
    @try {
        body();
    } @catch (NSException *exception) {
        return [NSString stringWithFormat:@"%@: %@", exception.name, exception.reason];
    }
    return nil;
}

// Not -stringByAppendingPathComponent:, which takes a backslash for a separator in GNUstep.
static inline NSString *inFolder(NSString *name) {
    return name.length > 0 ? [NSString stringWithFormat:@"%@/%@", folder, name] : folder;
}

static inline NSURL *writeFile(NSString *name, NSData *contents) {
    NSString *path = inFolder(name);
    int descriptor = open(path.UTF8String, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0 || write(descriptor, contents.bytes, contents.length) != (ssize_t)contents.length) {
        printf("%s: %s\n", path.UTF8String, strerror(errno));
        exit(2);
    }
    close(descriptor);
    return [NSURL fileURLWithPath:path];
}

static inline NSURL *writeBytes(NSString *name, const void *bytes, size_t length) {
    return writeFile(name, [NSData dataWithBytes:bytes length:length]);
}

static inline void put(NSMutableData *data, size_t offset, const void *bytes, size_t length) {
    [data replaceBytesInRange:NSMakeRange(offset, length) withBytes:bytes];
}

// The header of a bzImage whose protected-mode part has systemSize bytes, in a file of fileSize bytes.
static inline NSMutableData *bzImage(uint32_t systemSize, size_t fileSize) {
    NSMutableData *image = [NSMutableData dataWithLength:fileSize];
    uint32_t paragraphs = systemSize / 16;
    put(image, 0x1f1, "\1", 1);
    put(image, 0x1f4, &paragraphs, 4);
    put(image, 0x1fe, "\x55\xaa", 2);
    put(image, 0x202, "HdrS\x0f\x02", 6);
    return image;
}

static inline NSData *startingWith(const char *bytes, size_t length) {
    NSMutableData *data = [NSMutableData dataWithLength:2048];
    put(data, 0, bytes, length);
    return data;
}

static inline NSURL *diskImage(NSString *name, size_t size) {
    return writeFile(name, [NSMutableData dataWithLength:size]);
}

// A machine that can be made, with nothing but a kernel that is never run.
static inline VZVirtualMachineConfiguration *validConfiguration(void) {
    VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
    NSURL *kernel = writeFile(@"kernel", bzImage(4096, 1024 + 4096));
    configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:kernel];
    configuration.memorySize = 64 << 20;
    return configuration;
}

#define CHECK_VALID(configuration) checkValid((configuration), __LINE__)

static inline void checkValid(VZVirtualMachineConfiguration *configuration, int line) {
    NSError *error = nil;
    if (![configuration validateWithError:&error]) {
        printf("line %d: refused: %s\n", line, error.localizedDescription.UTF8String);
        failures++;
    } else if (error) {
        printf("line %d: valid, but with an error\n", line);
        failures++;
    }
}

// Checks an error of the framework: its code, the whole of its reason, and words of its suggestion.
#define CHECK_ERROR(error, code, reason, suggestion) checkError((error), (code), (reason), (suggestion), __LINE__)

static inline void checkError(NSError *error, VZErrorCode code, NSString *reason, NSString *suggestion, int line) {
    if (![error.domain isEqual:@"VZErrorDomain"] || error.code != code) {
        printf("line %d: error is %s %ld, not VZErrorDomain %ld\n", line, error.domain.UTF8String, (long)error.code,
               (long)code);
        failures++;
    }
    if (![error.localizedFailureReason isEqual:reason]) {
        printf("line %d: reason is\n  %s\nnot\n  %s\n", line, error.localizedFailureReason.UTF8String,
               reason.UTF8String);
        failures++;
    }
    if (error && [error.localizedDescription rangeOfString:reason].location == NSNotFound) {
        printf("line %d: description lacks the reason: %s\n", line, error.localizedDescription.UTF8String);
        failures++;
    }
    NSString *found = error.localizedRecoverySuggestion ?: @"";
    if ([found rangeOfString:suggestion].location == NSNotFound) {
        printf("line %d: suggestion is\n  %s\nwithout\n  %s\n", line, found.UTF8String, suggestion.UTF8String);
        failures++;
    }
}

#define CHECK_REFUSED(configuration, reason, suggestion) checkRefused((configuration), (reason), (suggestion), __LINE__)

static inline NSError *checkRefused(VZVirtualMachineConfiguration *configuration, NSString *reason,
                                    NSString *suggestion, int line) {
    NSError *error = nil;
    if ([configuration validateWithError:&error]) {
        printf("line %d: not refused\n", line);
        failures++;
        return nil;
    }
    if ([configuration validateWithError:NULL]) {
        printf("line %d: not refused for a caller without use for the error\n", line);
        failures++;
    }
    checkError(error, VZErrorInvalidVirtualMachineConfiguration, reason, suggestion, line);
    return error;
}

static inline NSString *words(NSString *format, ...) NS_FORMAT_FUNCTION(1, 2);
static inline NSString *words(NSString *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    NSString *text = [[NSString alloc] initWithFormat:format arguments:arguments];
    va_end(arguments);
    return text;
}

// GNUstep's count of live objects of a class; its header declares these for debugging builds alone.
BOOL GSDebugAllocationActive(BOOL active);
int GSDebugAllocationCount(Class class);
Class __unsafe_unretained *GSDebugAllocationClassList(void);

enum { knownClasses = 1000 };

typedef struct {
    Class __unsafe_unretained class;
    int count;
} LiveObjects;

// Fills an array of knownClasses elements; those that are not needed have no class.
static inline void countLiveObjects(LiveObjects *live) {
    Class __unsafe_unretained *list = GSDebugAllocationClassList();
    for (int i = 0; i < knownClasses - 1 && list[i]; i++) {
        live[i] = (LiveObjects){list[i], GSDebugAllocationCount(list[i])};
    }
    free(list);
}

// Runs the tests in a new folder, which is removed after them.
static inline int runTestsOnce(void (*const tests[])(void), size_t count) {
    @autoreleasepool {
        char path[] = "/tmp/virtualization-XXXXXX";
        char resolved[4096];
        if (!mkdtemp(path) || !realpath(path, resolved)) {
            perror(path);
            return 2;
        }
        folder = [NSString stringWithUTF8String:resolved];
        for (size_t i = 0; i < count; i++) {
            @autoreleasepool {
                tests[i]();
            }
        }
        [[NSFileManager defaultManager] removeItemAtPath:folder error:NULL];
        folder = nil;
    }
    return failures ? 1 : 0;
}

// Runs the tests three times. What is made once, by Foundation or by us, was made in the first two: the third may not
// leave a single object of any class behind.
static inline int runTests(void (*const tests[])(void), size_t count) {
    static LiveObjects before[knownClasses], after[knownClasses];
    GSDebugAllocationActive(YES);
    for (int round = 0; round < 3; round++) {
        int result = runTestsOnce(tests, count);
        if (result != 0) {
            return result;
        }
        countLiveObjects(round < 2 ? before : after);
    }
    for (LiveObjects *now = after; now->class; now++) {
        LiveObjects *then = before;
        while (then->class && then->class != now->class) {
            then++;
        }
        if (now->count > then->count) {
            printf("%s: %d live objects after two rounds, %d after three\n", class_getName(now->class), then->count,
                   now->count);
            failures++;
        }
    }
    return failures ? 1 : 0;
}
