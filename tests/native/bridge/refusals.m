// SPDX-License-Identifier: Apache-2.0
// What an error tells of the operating system, whatever its domain and however deep; and what a look at the files adds
// to a refusal, and does to the files: nothing.
//
// Arguments: an empty folder; and one in a file system that is full, or nothing.
#import "boundary/conditions.h"
#import "boundary/errors.h"
#import "boundary/files.h"
#import "boundary/text.h"
#import "configuration/configuration_files.h"
#import "../checks.h"
#import <Virtualization/Virtualization.h>
#import <dirent.h>
#import <errno.h>
#import <fcntl.h>
#import <string.h>
#import <sys/stat.h>
#import <sys/wait.h>
#import <unistd.h>

static NSError *error_of(NSString *domain, NSInteger code, NSDictionary *information) {
    return [NSError errorWithDomain:domain code:code userInfo:information];
}

static NSError *above(NSError *cause) {
    return error_of(VZErrorDomain, VZErrorInternal, @{NSUnderlyingErrorKey : cause});
}

static int64_t code_of(NSError *error) {
    return applevz_condition_of_error(error).code;
}

static BOOL is_certain(NSError *error) {
    return applevz_condition_of_error(error).certain;
}

#pragma mark Codes

static const struct {
    int code, number;
    BOOL certain;
} cocoa[] =
    {
        {4, ENOENT, YES},   {255, EBUSY, YES},  {256, EIO, NO},     {257, EACCES, YES}, {258, EINVAL, NO},
        {259, EINVAL, NO},  {260, ENOENT, YES}, {261, EILSEQ, YES}, {262, EINVAL, NO},  {263, EFBIG, YES},
        {264, EILSEQ, YES}, {512, EIO, NO},     {513, EACCES, YES}, {514, EINVAL, NO},  {516, EEXIST, YES},
        {517, EILSEQ, YES}, {518, EINVAL, NO},  {640, ENOSPC, YES}, {642, EROFS, YES},  {1, 0, NO},
        {3328, 0, NO},      {4097, 0, NO},      {-1, 0, NO},        {0, 0, NO},
    },
  status[] =
      {
          {-43, ENOENT, YES},    {-34, ENOSPC, YES}, {-48, EEXIST, YES},  {-54, EACCES, YES},
          {-5000, EACCES, YES},  {-44, EROFS, YES},  {-108, ENOMEM, YES}, {-36, EIO, NO},
          {100002, ENOENT, YES}, {100000, 0, NO},    {-67050, 0, NO},
      },
  posix[] = {
      {ENOENT, ENOENT, YES}, {ENOTSUP, ENOTSUP, NO}, {EINVAL, EINVAL, NO}, {ENOSPC, ENOSPC, YES}, {0, 0, NO},
      {-3, -3, NO},
  };

#define CHECK_CODES(domain, table)                                                                                     \
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {                                                        \
        NSError *error = error_of(domain, table[i].code, nil);                                                         \
        CHECK(code_of(error) == table[i].number);                                                                      \
        CHECK(is_certain(error) == table[i].certain);                                                                  \
    }

static void check_codes(void) {
    CHECK_CODES(NSCocoaErrorDomain, cocoa)
    CHECK_CODES(NSOSStatusErrorDomain, status)
    CHECK_CODES(NSPOSIXErrorDomain, posix)
    CHECK(code_of(error_of(VZErrorDomain, VZErrorOutOfDiskSpace, nil)) == ENOSPC);
    CHECK(code_of(error_of(VZErrorDomain, VZErrorInternal, nil)) == 0);
    CHECK(code_of(error_of(AppleVZErrorDomain, 4, nil)) == 0);
    CHECK(code_of(error_of(@"elsewhere", 4, nil)) == 0);
}

static void check_trees(void) {
    NSError *missing = error_of(NSPOSIXErrorDomain, ENOENT, nil);
    NSError *vague = error_of(NSPOSIXErrorDomain, ENOTSUP, nil);
    NSError *forbidden = error_of(NSCocoaErrorDomain, 257, nil);
    NSError *unknown = error_of(NSCocoaErrorDomain, 256, nil);
    NSError *other = error_of(@"elsewhere", 2, nil);
    CHECK(code_of(above(above(missing))) == ENOENT);
    // What is certain before what is not, and NSPOSIXErrorDomain before others, wherever they stand.
    CHECK(code_of(error_of(NSCocoaErrorDomain, 257, @{NSUnderlyingErrorKey : missing})) == ENOENT);
    CHECK(code_of(error_of(NSPOSIXErrorDomain, ENOTSUP, @{NSUnderlyingErrorKey : forbidden})) == EACCES);
    CHECK(code_of(error_of(NSCocoaErrorDomain, 256, @{NSUnderlyingErrorKey : vague})) == ENOTSUP);
    CHECK(code_of(above(unknown)) == EIO && !is_certain(above(unknown)));
    // Of several.
    NSError *several = error_of(
        VZErrorDomain, 2,
        @{NSMultipleUnderlyingErrorsKey : @[ other, vague, above(forbidden), missing ]});
    CHECK(code_of(several) == ENOENT);
    CHECK(code_of(above(several)) == ENOENT);
    CHECK(applevz_error_beneath(several) == vague);
    CHECK(applevz_error_beneath(error_of(
              VZErrorDomain, 2,
              @{NSMultipleUnderlyingErrorsKey : @[ other, other ]})) == other);
    CHECK(applevz_error_beneath(other) == nil);
    // What others put there need not be an error.
    NSDictionary *odd = @{NSUnderlyingErrorKey : @"text", NSMultipleUnderlyingErrorsKey : @[ @7, missing ]};
    CHECK(code_of(error_of(VZErrorDomain, 2, odd)) == ENOENT);
    CHECK(code_of(error_of(VZErrorDomain, 2, @{NSMultipleUnderlyingErrorsKey : @"text"})) == 0);
    CHECK(applevz_error_beneath(error_of(VZErrorDomain, 2, @{NSUnderlyingErrorKey : @"text"})) == nil);
    // Deep, and wide: an end comes soon.
    NSError *deep = missing;
    for (int i = 0; i < 1000; i++)
        deep = above(deep);
    CHECK(code_of(deep) == 0);
    NSError *wide = other;
    for (int i = 0; i < 12; i++)
        wide = error_of(
            VZErrorDomain, 2,
            @{NSMultipleUnderlyingErrorsKey : @[ wide, wide, wide, wide, wide, wide, wide, wide ]});
    CHECK(code_of(wide) == 0);
}

#pragma mark Files

static const char *folder;

static const char *path_of(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static AppleVZNamedFile *file(const char *name, AppleVZFileUse use) {
    const char *path = path_of(name);
    return [[AppleVZNamedFile alloc] initWithPath:path length:strlen(path) field:@"URL" use:use];
}

static NSError *bare(void) {
    return error_of(VZErrorDomain, VZErrorInvalidVirtualMachineConfiguration,
                    @{NSLocalizedFailureReasonErrorKey : @"It is so."});
}

static int64_t found(const char *name, AppleVZFileUse use) {
    return code_of(applevz_refusal_of_files(bare(), nil, @[ file(name, use) ]));
}

static void make(const char *name, mode_t mode) {
    int descriptor = open(path_of(name), O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, mode);
    CHECK(descriptor >= 0);
    CHECK(write(descriptor, "x", 1) == 1);
    CHECK(close(descriptor) == 0);
}

static int count_of_descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void check_looks(void) {
    const AppleVZFileUse read = AppleVZFileIsRead, disk = AppleVZFileIsRead | AppleVZFileIsWritten;
    const AppleVZFileUse log = AppleVZFileIsWritten | AppleVZFileIsMade,
                         share = AppleVZFileIsRead | AppleVZFileIsFolder;
    make("file", 0600);
    CHECK(mkdir(path_of("folder"), 0700) == 0);
    CHECK(mkfifo(path_of("FIFO"), 0600) == 0);
    CHECK(symlink("nowhere", path_of("dangling")) == 0);
    CHECK(symlink("file", path_of("link")) == 0);
    int before = count_of_descriptors();
    CHECK(found("file", read) == 0 && found("link", disk) == 0 && found("folder", share) == 0);
    CHECK(found("missing", read) == ENOENT && found("dangling", read) == ENOENT);
    CHECK(found("folder", read) == EISDIR && found("folder", log) == EISDIR && found("file", share) == ENOTDIR);
    CHECK(found("file/below", read) == ENOTDIR && found("file/", disk) == ENOTDIR);
    CHECK(found("new", log) == 0 && found("dangling", log) == ENOENT && found("new/", log) == ENOENT);
    CHECK(found("nowhere/new", log) == ENOENT && found("file/new", log) == ENOTDIR);
    CHECK(found("file", AppleVZFileIsNew) == EEXIST && found("dangling", AppleVZFileIsNew) == EEXIST);
    CHECK(found("new", AppleVZFileIsNew) == 0 && found("nowhere/new", AppleVZFileIsNew) == ENOENT);
    CHECK(found("file", AppleVZFileReplaces) == 0 && found("folder", AppleVZFileReplaces) == EEXIST);
    CHECK(found("file", AppleVZFileIsSocket) == ENOTSOCK && found("missing", AppleVZFileIsSocket) == ENOENT);
    // Nobody writes to it, or reads from it: opened, it would be waited for. No errno says what is wrong with it.
    CHECK(found("FIFO", read) == 0 && found("FIFO", disk) == 0 && found("FIFO", log) == 0);
    CHECK(found("FIFO", AppleVZFileReplaces) == EEXIST);
    CHECK(access(path_of("new"), F_OK) != 0 && access(path_of("nowhere"), F_OK) != 0);
    struct stat status;
    CHECK(stat(path_of("file"), &status) == 0 && status.st_size == 1);
    CHECK(count_of_descriptors() == before);
}

/// A program's own lock on a file is lost when any of its descriptors of the file is closed.
static void check_locks(void) {
    int descriptor = open(path_of("file"), O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(descriptor >= 0 && fcntl(descriptor, F_SETLK, &lock) == 0);
    CHECK(found("file", AppleVZFileIsRead | AppleVZFileIsWritten) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct flock other = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _exit(fcntl(descriptor, F_GETLK, &other) == 0 && other.l_type == F_WRLCK ? 0 : 1);
    }
    int result = -1;
    CHECK(waitpid(child, &result, 0) == child && result == 0);
    CHECK(close(descriptor) == 0);
}

static void check_words(void) {
    NSString *missing = [NSString stringWithUTF8String:path_of("missing")];
    AppleVZNamedFile *image = file("missing", AppleVZFileIsRead);
    // The reason goes on; the framework's own words stay, and so does its suggestion.
    NSError *error = applevz_refusal_of_files(bare(), image, nil);
    NSString *sentence =
        [NSString stringWithFormat:@"URL is \"%@\", which cannot be found: No such file or directory.", missing];
    CHECK([error.domain isEqual:VZErrorDomain] && error.code == VZErrorInvalidVirtualMachineConfiguration);
    CHECK([error.localizedFailureReason isEqual:[@"It is so. " stringByAppendingString:sentence]]);
    CHECK([error.localizedRecoverySuggestion isEqual:@"Name an existing file that this user may read."]);
    CHECK([error.userInfo[NSFilePathErrorKey] isEqual:missing]);
    NSError *cause = error.userInfo[NSUnderlyingErrorKey];
    CHECK([cause.domain isEqual:NSPOSIXErrorDomain] && cause.code == ENOENT);
    CHECK([cause.userInfo[NSFilePathErrorKey] isEqual:missing]);
    NSDictionary *own = @{
        NSLocalizedDescriptionKey : @"Invalid. It is so. ",
        NSLocalizedFailureReasonErrorKey : @"It is so.",
        NSLocalizedRecoverySuggestionErrorKey : @"Do so."
    };
    error = applevz_refusal_of_files(error_of(VZErrorDomain, 2, own), image, nil);
    CHECK([error.localizedRecoverySuggestion isEqual:@"Do so."]);
    CHECK([error.localizedDescription rangeOfString:sentence].location != NSNotFound);
    // Words that name the file are enough.
    NSDictionary *named = @{NSLocalizedFailureReasonErrorKey : [@"No " stringByAppendingString:missing]};
    error = applevz_refusal_of_files(error_of(VZErrorDomain, 2, named), image, nil);
    CHECK([error.localizedFailureReason isEqual:named[NSLocalizedFailureReasonErrorKey]] && code_of(error) == ENOENT);
    // ENOTSUP is taken out, wherever it stands, and what was between stays.
    NSError *wrong = error_of(NSPOSIXErrorDomain, ENOTSUP, nil);
    error = applevz_refusal_of_files(wrong, image, nil);
    CHECK([error.domain isEqual:NSPOSIXErrorDomain] && error.code == ENOENT);
    CHECK([error.localizedFailureReason rangeOfString:sentence].location == 0);
    CHECK([error.localizedFailureReason rangeOfString:@"NSPOSIXErrorDomain"].location != NSNotFound);
    error = applevz_refusal_of_files(above(above(wrong)), image, nil);
    NSError *between = error.userInfo[NSUnderlyingErrorKey];
    CHECK(error.code == VZErrorInternal && between.code == VZErrorInternal);
    CHECK([between.userInfo[NSUnderlyingErrorKey] code] == ENOENT);
    // Where the look finds nothing, nothing is invented.
    AppleVZNamedFile *right = file("file", AppleVZFileIsRead);
    CHECK(applevz_refusal_of_files(wrong, nil, @[ right ]) == wrong);
    error = applevz_refusal_of_files(wrong, right, nil);
    CHECK(error.code == ENOTSUP && error.userInfo[NSUnderlyingErrorKey] == nil);
    NSError *plain = bare();
    CHECK(applevz_refusal_of_files(plain, nil, @[ right ]) == plain);
    CHECK(code_of(applevz_refusal_of_files(plain, right, nil)) == 0);
    CHECK(applevz_refusal_of_files(nil, image, nil) == nil);
}

static void check_what_is_certain(void) {
    AppleVZNamedFile *missing = file("missing", AppleVZFileIsRead), *there = file("file", AppleVZFileIsNew);
    NSString *path = [NSString stringWithUTF8String:path_of("file")];
    // It is not contradicted; but the file that it is about is named.
    NSError *full = error_of(NSPOSIXErrorDomain, ENOSPC, nil);
    NSError *error = applevz_refusal_of_files(full, there, nil);
    CHECK(error.code == ENOSPC && code_of(error) == ENOSPC && [error.userInfo[NSFilePathErrorKey] isEqual:path]);
    CHECK(applevz_refusal_of_files(full, nil, @[ there, missing ]) == full);
    // Of several files it is the one of which a look says the same.
    error = applevz_refusal_of_files(above(error_of(NSCocoaErrorDomain, 260, nil)), nil, @[ there, missing ]);
    CHECK([applevz_file_of_error(error) hasSuffix:@"/missing"] && code_of(error) == ENOENT);
    // One that names its file says all; but not one that names another than the file in question.
    NSError *named =
        error_of(NSCocoaErrorDomain, 640, @{NSFilePathErrorKey : path, NSLocalizedRecoverySuggestionErrorKey : @"So."});
    CHECK(applevz_refusal_of_files(named, there, nil) == named);
    CHECK(applevz_refusal_of_files(named, nil, @[ missing ]) == named);
    CHECK([applevz_file_of_error(applevz_refusal_of_files(named, missing, nil)) hasSuffix:@"/missing"]);
    // Where none is certain, the file that it names is the one that is looked at.
    NSError *unknown = error_of(NSCocoaErrorDomain, 256, @{NSFilePathErrorKey : path});
    CHECK(applevz_refusal_of_files(unknown, nil, @[ missing, file("file", AppleVZFileIsRead) ]) == unknown);
    CHECK(code_of(applevz_refusal_of_files(unknown, nil, @[ missing, there ])) == EEXIST);
    // Of what is about no file nothing is looked at.
    for (NSNumber *code in @[ @3, @4, @6, @9, @10, @30001 ]) {
        NSError *other = error_of(VZErrorDomain, code.integerValue, nil);
        CHECK(applevz_refusal_of_files(other, missing, nil) == other);
    }
    NSError *own = applevz_invalid_argument(@"What.", @"Why.", @"Do.");
    CHECK(applevz_refusal_of_files(own, missing, nil) == own);
    NSException *exception = [NSException exceptionWithName:@"Played" reason:@"so" userInfo:nil];
    CHECK(code_of(applevz_refusal_of_files(applevz_error_from_exception(exception), nil, @[ missing ])) == ENOENT);
}

static void check_names(void) {
    // Bytes that are not text, and those that mean something in a URL.
    const char name[] = "a\xff %2F?#b";
    const char *path = path_of(name);
    NSError *error = nil;
    NSURL *url = applevz_file_url(path, strlen(path), @"path", &error);
    NSData *back = applevz_path_of_file_url(url);
    CHECK(back.length >= strlen(path) && memcmp(back.bytes, path, strlen(path)) == 0);
    CHECK(applevz_path_of_file_url([NSURL URLWithString:@"https://host/path"]) == nil);
    CHECK(applevz_path_of_file_url([NSURL URLWithString:@"file://host"]) == nil);
    CHECK(applevz_path_of_file_url(nil) == nil);
    CHECK(memcmp(applevz_path_of_file_url([NSURL URLWithString:@"file://localhost/a%2fb"]).bytes, "/a/b", 4) == 0);
    error = applevz_refusal_of_files(bare(), file(name, AppleVZFileIsRead), nil);
    CHECK([applevz_file_of_error(error) isEqual:url.absoluteString]);
    CHECK([error.localizedFailureReason rangeOfString:@"a\\xff %2F?#b"].location != NSNotFound);
}

/// A configuration may have more ports than anybody could look through.
static void check_configuration(void) {
    VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
    VZVirtioConsoleDeviceConfiguration *device = [[VZVirtioConsoleDeviceConfiguration alloc] init];
    device.ports.maximumPortCount = UINT32_MAX;
    configuration.consoleDevices = @[ device ];
    CHECK(applevz_files_of_configuration(configuration).count == 0);
    CHECK(applevz_refusal_of_configuration(nil, configuration).code == VZErrorInvalidVirtualMachineConfiguration);
}

int main(int count, char **arguments) {
    @autoreleasepool {
        folder = arguments[1];
        check_codes();
        check_trees();
        check_looks();
        check_locks();
        check_words();
        check_what_is_certain();
        check_names();
        check_configuration();
        if (count > 2) {
            folder = arguments[2];
            CHECK(found("new", AppleVZFileIsNew) == ENOSPC &&
                  found("new", AppleVZFileIsWritten | AppleVZFileIsMade) == ENOSPC);
            CHECK(found("missing", AppleVZFileIsRead) == ENOENT);
        }
    }
    return 0;
}
