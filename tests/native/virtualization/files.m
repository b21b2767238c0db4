// SPDX-License-Identifier: Apache-2.0
// Files that configurations name: what each is taken for, and how each thing that can be wrong with one is put.
#import "virtualization_support.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZHostFile+Private.h"
#include <dirent.h>

static NSURL *url(NSString *name) {
    return [NSURL fileURLWithPath:inFolder(name)];
}

// As an error has it: the URL of a folder that is there ends with a slash.
static NSString *shownPath(NSString *name) {
    return name.length > 0 ? inFolder(name) : [inFolder(name) stringByAppendingString:@"/"];
}

// A path comes back from its text and from its URL as the bytes that it was.
static void pathsAreBytes(void) {
    srand(1);
    for (int round = 0; round < 20000; round++) {
        char bytes[24] = "/", *end = bytes + 1 + rand() % 20;
        for (char *byte = bytes + 1; byte < end; byte++) {
            // Mostly parts of characters in UTF-8, whole ones and damaged ones, those for private use that stand for
            // bytes too.
            static const unsigned char parts[] = {0xf4, 0x8f, 0x9f, 0xa4, 0xed, 0xb2, 0x80,
                                                  0xc3, 0xe2, '\\', '%',  '/',  'a'};
            *byte = (char)(rand() % 2 ? parts[(size_t)rand() % sizeof parts] : 1 + rand() % 255);
        }
        *end = 0;
        NSString *path = VZPathWithBytes(bytes);
        CHECK(strcmp(VZBytesOfPath(path), bytes) == 0);
        CHECK(VZUTF8Data(path) != nil);
        NSURL *byBytes = [NSURL URLWithString:[@"file://" stringByAppendingString:VZEscapedPath(bytes)]];
        NSString *reason = nil;
        NSString *found = VZPathOfFileURL(byBytes, &reason);
        CHECK_EQUAL(found, path);
        // By text, where there is one. Foundation takes a slash away from the end of a file's, and gives "/." one.
        NSString *text = !strchr("/.", end[-1]) ? [NSString stringWithUTF8String:bytes] : nil;
        NSString *byText = text ? VZPathOfFileURL([NSURL fileURLWithPath:text isDirectory:NO], &reason) : nil;
        CHECK(!text || strcmp(VZBytesOfPath(byText), bytes) == 0);
        NSString *name = nil;
        NSString *folder = VZFolderOfPath(path, &name);
        CHECK_EQUAL([folder stringByAppendingString:name], path);
        CHECK(strchr(VZBytesOfPath(name), '/') == NULL && [folder hasSuffix:@"/"]);
    }
    CHECK_EQUAL(VZQuoted(VZPathWithBytes("/a\xe4\xc3\xa4\n")), @"\"/a\\xe4ä\\u000a\"");
    CHECK(strcmp(VZBytesOfPath(@"/ä\U0001f600"), "/ä\xf0\x9f\x98\x80") == 0);
    NSString *reason = nil;
    for (NSString *none in @[ @"file:", @"file://", @"file:relative", @"file:///a%00b", @"http:///a" ]) {
        CHECK(!VZPathOfFileURL([NSURL URLWithString:none], &reason));
    }
    CHECK_EQUAL(VZPathOfFileURL([NSURL URLWithString:@"file://localhost/a;b%3f?c#d"], &reason), @"/a;b?");
    CHECK_EQUAL(VZPathOfFileURL([NSURL URLWithString:@"file:///a%zz%4"], &reason) ?: @"/a%zz%4", @"/a%zz%4");
}

// Checks what both of a boot loader's files have to be.
static void bootFilesThatCannotBeRead(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    NSURL *good = loader.kernelURL;
    CHECK(mkfifo(inFolder(@"fifo").UTF8String, 0600) == 0);
    CHECK(symlink("nothing", inFolder(@"dangling").UTF8String) == 0);
    writeBytes(@"empty", "", 0);
    NSDictionary *wrong = @{
        @"missing" : @"which cannot be found: No such file or directory.",
        @"dangling" : @"which cannot be found: No such file or directory.",
        @"empty/x" : @"which cannot be found: Not a directory.",
        @"" : @"which is a directory; it must be a regular file.",
        @"fifo" : @"which is a FIFO; it must be a regular file.",
        @"empty" : @"which is empty.",
    };
    for (NSString *property in @[ @"kernelURL", @"initialRamdiskURL" ]) {
        for (NSString *name in wrong) {
            [loader setValue:url(name) forKey:property];
            CHECK_REFUSED(configuration, words(@"bootLoader.%@ is \"%@\", %@", property, shownPath(name), wrong[name]),
                          @"existing, readable");
        }
        [loader setValue:[NSURL fileURLWithPath:@"/dev/null"] forKey:property];
        CHECK_REFUSED(
            configuration,
            words(@"bootLoader.%@ is \"/dev/null\", which is a character device; it must be a regular file.", property),
            @"");
        [loader setValue:[NSURL URLWithString:@"http://example.com/kernel"] forKey:property];
        CHECK_REFUSED(configuration,
                      words(@"bootLoader.%@ is \"http://example.com/kernel\", which is not the URL of a file on this "
                            @"host.",
                            property),
                      @"");
        // Without the check this would be the valid file before the NUL.
        NSString *withNUL = [good.absoluteString stringByAppendingString:@"%00.old"];
        [loader setValue:[NSURL URLWithString:withNUL] forKey:property];
        CHECK_REFUSED(configuration,
                      words(@"bootLoader.%@ is \"%@\", whose path has a NUL character in it.", property, withNUL), @"");
        [loader setValue:good forKey:property];
    }
    CHECK_VALID(configuration);
    loader.kernelURL = (id _Nonnull)nil;
    CHECK_REFUSED(configuration, @"bootLoader.kernelURL is nil; it must be the URL of a file.", @"");
    loader.kernelURL = url(@"missing");
    NSError *error = nil;
    CHECK(![configuration validateWithError:&error]);
    NSError *underlying = error.userInfo[NSUnderlyingErrorKey];
    CHECK_EQUAL(underlying.domain, NSPOSIXErrorDomain);
    CHECK(underlying.code == ENOENT);
    CHECK_EQUAL(underlying.userInfo[NSFilePathErrorKey], inFolder(@"missing"));
}

static NSError *errorOfDisk(NSURL *image, BOOL readOnly) {
    NSError *error = nil;
    if ([[VZDiskImageStorageDeviceAttachment alloc] initWithURL:image readOnly:readOnly error:&error]) {
        printf("%s was taken\n", image.absoluteString.UTF8String);
        failures++;
    }
    CHECK(![[VZDiskImageStorageDeviceAttachment alloc] initWithURL:image readOnly:readOnly error:NULL]);
    return error;
}

static void diskImagesThatAreNotRaw(void) {
    static const struct {
        size_t offset, length;
        const char *bytes, *format;
    } formats[] = {
        {0, 8, "QFI\xfb\0\0\0\3", "qcow2"},
        {0, 8, "QFI\xfb\0\0\0\1", "qcow"},
        {0, 4, "KDMV", "VMDK"},
        {0, 21, "# Disk DescriptorFile", "VMDK"},
        {64, 4, "\x7f\x10\xda\xbe", "VDI"},
        {0, 8, "vhdxfile", "VHDX"},
        {0, 8, "conectix", "VHD"},
        {0, 3, "\x1f\x8b\x08", "gzip-compressed"},
        {0, 6,
         "\xfd"
         "7zXZ\0",
         "xz-compressed"},
        {0, 4, "\x28\xb5\x2f\xfd", "zstd-compressed"},
        {0, 10, "BZh9\x31\x41\x59\x26\x53\x59", "bzip2-compressed"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        NSMutableData *contents = [NSMutableData dataWithLength:4096];
        put(contents, formats[i].offset, formats[i].bytes, formats[i].length);
        NSString *compressed = strstr(formats[i].format, "compressed") ? @"Unpack" : @"qemu-img convert -O raw";
        NSString *reason =
            words(@"URL is \"%@\", which is in %s format, not raw.", inFolder(@"image"), formats[i].format);
        CHECK_ERROR(errorOfDisk(writeFile(@"image", contents), NO), VZErrorInvalidDiskImage, reason, compressed);
        // Named even where the size is wrong too.
        contents.length = 1000;
        CHECK_ERROR(errorOfDisk(writeFile(@"image", contents), YES), VZErrorInvalidDiskImage, reason, compressed);
    }
    for (NSData *raw in @[
             startingWith("LUKS\xba\xbe", 6), startingWith("hsqs", 4), startingWith("QFI", 3),
             startingWith("\x55\xaa", 2)
         ]) {
        NSError *error = nil;
        CHECK([[VZDiskImageStorageDeviceAttachment alloc] initWithURL:writeFile(@"image", raw)
                                                             readOnly:NO
                                                                error:&error] &&
              !error);
    }
}

static void diskImagesThatCannotBeAttached(void) {
    CHECK(mkfifo(inFolder(@"pipe").UTF8String, 0600) == 0);
    NSString *existing = @"Name an existing file";
    NSDictionary *wrong = @{
        @"missing" : @[ @"which cannot be found: No such file or directory.", existing ],
        @"pipe" : @[ @"which is a FIFO; it must be a regular file or a block device.", existing ],
        @"" : @[ @"which is a directory; it must be a regular file or a block device.", existing ],
        @"none" : @[ @"which is empty.", @"truncate" ],
        @"odd" : @[ @"which has a size of 1000 bytes, not a multiple of 512.", @"1024 bytes" ],
        @"short" : @[ @"which has a size of 511 bytes, not a multiple of 512.", @"512 bytes" ],
    };
    diskImage(@"none", 0);
    diskImage(@"odd", 1000);
    diskImage(@"short", 511);
    for (NSString *name in wrong) {
        for (NSNumber *readOnly in @[ @YES, @NO ]) {
            CHECK_ERROR(errorOfDisk(url(name), readOnly.boolValue), VZErrorInvalidDiskImage,
                        words(@"URL is \"%@\", %@", shownPath(name), wrong[name][0]), wrong[name][1]);
        }
    }
    NSError *error = nil;
    for (int mode = -1; mode <= 4; mode++) {
        BOOL caching = [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:diskImage(@"whole", 512)
                                                                      readOnly:NO
                                                                   cachingMode:(VZDiskImageCachingMode)mode
                                                           synchronizationMode:VZDiskImageSynchronizationModeFull
                                                                         error:&error] != nil;
        // Whether a file system can pass by the page cache is the file system's.
        CHECK(mode == VZDiskImageCachingModeUncached || caching == (mode >= 0 && mode <= 2));
        BOOL synchronization =
            [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:diskImage(@"whole", 512)
                                                           readOnly:NO
                                                        cachingMode:VZDiskImageCachingModeCached
                                                synchronizationMode:(VZDiskImageSynchronizationMode)mode
                                                              error:&error] != nil;
        CHECK(synchronization == (mode >= 1 && mode <= 3));
    }
    CHECK_ERROR(error, VZErrorInvalidVirtualMachineConfiguration, @"synchronizationMode is 4.",
                @"VZDiskImageSynchronizationMode");
}

static void diskImagesThatChangeAfterTheyWereAttached(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    NSError *error = nil;
    NSURL *image = diskImage(@"image", 1024);
    VZDiskImageStorageDeviceAttachment *attachment = [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:image
                                                                                                    readOnly:NO
                                                                                                       error:&error];
    configuration.storageDevices = @[ [[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:attachment] ];
    CHECK_VALID(configuration);
    CHECK_EQUAL(attachment.resolvedPath, inFolder(@"image"));
    CHECK(truncate(image.path.UTF8String, 1023) == 0);
    error = CHECK_REFUSED(configuration,
                          words(@"storageDevices[0].attachment.URL is \"%@\", which has a size of 1023 bytes, not a "
                                @"multiple of 512.",
                                image.path),
                          @"1024 bytes");
    NSError *underlying = error.userInfo[NSUnderlyingErrorKey];
    CHECK_EQUAL(underlying.domain, VZErrorDomain);
    CHECK(underlying.code == VZErrorInvalidDiskImage);
    CHECK(unlink(image.path.UTF8String) == 0);
    CHECK_REFUSED(configuration,
                  words(@"storageDevices[0].attachment.URL is \"%@\", which cannot be found: No such file or "
                        @"directory.",
                        image.path),
                  @"existing");
    // Gone, it is still a path, which QEMU says is not there.
    CHECK_EQUAL(attachment.resolvedPath, inFolder(@"image"));
    CHECK(symlink(diskImage(@"elsewhere", 512).path.UTF8String, image.path.UTF8String) == 0);
    CHECK_VALID(configuration);
    CHECK_EQUAL(attachment.resolvedPath, inFolder(@"elsewhere"));
    CHECK_EQUAL(attachment.URL, image);
}

static NSString *refusalOfLog(NSURL *log) {
    NSError *error = nil;
    if ([[VZFileSerialPortAttachment alloc] initWithURL:log append:NO error:&error]) {
        return nil;
    }
    CHECK_EQUAL(error.domain, VZErrorDomain);
    CHECK(error.code == VZErrorInvalidVirtualMachineConfiguration);
    CHECK([error.localizedRecoverySuggestion hasPrefix:@"Name a file that this user may write"]);
    return error.localizedFailureReason;
}

static void logsThatCannotBeWritten(void) {
    writeBytes(@"log", "kept", 4);
    CHECK(refusalOfLog(url(@"log")) == nil);
    CHECK(refusalOfLog(url(@"new log")) == nil);
    CHECK(refusalOfLog([NSURL fileURLWithPath:@"/dev/null"]) == nil);
    CHECK_EQUAL([NSData dataWithContentsOfFile:inFolder(@"log")], [@"kept" dataUsingEncoding:NSASCIIStringEncoding]);
    CHECK(access(inFolder(@"new log").UTF8String, F_OK) != 0);
    CHECK_EQUAL(
        refusalOfLog(url(@"nofolder/log")),
        words(@"URL is \"%@\", which cannot be created: No such file or directory.", inFolder(@"nofolder/log")));
    CHECK_EQUAL(refusalOfLog(url(@"log/log")),
                words(@"URL is \"%@\", which cannot be written to: Not a directory.", inFolder(@"log/log")));
    CHECK_EQUAL(refusalOfLog(url(@"")),
                words(@"URL is \"%@\", which cannot be written to: Is a directory.", shownPath(@"")));
    CHECK(symlink("nowhere", inFolder(@"leading nowhere").UTF8String) == 0);
    CHECK_EQUAL(refusalOfLog(url(@"leading nowhere")),
                words(@"URL is \"%@\", which is a symbolic link to a missing file: No such file or directory.",
                      inFolder(@"leading nowhere")));
    CHECK_EQUAL(refusalOfLog([NSURL URLWithString:@"ftp://host/log"]),
                @"URL is \"ftp://host/log\", which is not the URL of a file on this host.");
    NSError *error = nil;
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZVirtioConsoleDeviceSerialPortConfiguration *port = [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
    CHECK(mkdir(inFolder(@"logs").UTF8String, 0700) == 0);
    port.attachment = [[VZFileSerialPortAttachment alloc] initWithURL:url(@"logs/log") append:YES error:&error];
    configuration.serialPorts = @[ port ];
    CHECK_VALID(configuration);
    CHECK(rmdir(inFolder(@"logs").UTF8String) == 0);
    CHECK_REFUSED(configuration,
                  words(@"serialPorts[0].attachment.URL is \"%@\", which cannot be created: No such file or "
                        @"directory.",
                        inFolder(@"logs/log")),
                  @"existing folder");
}

// As another user when run by root, who may read and write everything.
static void filesThatThisUserMayNotUse(void) {
    enum { nobody = 65534 };
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    loader.initialRamdiskURL = writeBytes(@"secret", "x", 1);
    NSURL *image = diskImage(@"protected", 512);
    CHECK(chmod(folder.UTF8String, 0755) == 0);
    CHECK(chmod(loader.initialRamdiskURL.path.UTF8String, 0) == 0);
    CHECK(chmod(image.path.UTF8String, 0444) == 0);
    BOOL root = geteuid() == 0;
    CHECK(!root || seteuid(nobody) == 0);
    CHECK_REFUSED(configuration,
                  words(@"bootLoader.initialRamdiskURL is \"%@\", which cannot be opened for reading: Permission "
                        @"denied.",
                        inFolder(@"secret")),
                  @"permission");
    CHECK_ERROR(errorOfDisk(image, NO), VZErrorInvalidDiskImage,
                words(@"URL is \"%@\", which cannot be opened for writing: Permission denied.", image.path),
                @"or attach it with readOnly");
    NSError *error = nil;
    CHECK([[VZDiskImageStorageDeviceAttachment alloc] initWithURL:image readOnly:YES error:&error] != nil);
    CHECK_EQUAL(refusalOfLog(image),
                words(@"URL is \"%@\", which cannot be written to: Permission denied.", image.path));
    CHECK_EQUAL(root ? refusalOfLog(url(@"new")) : nil,
                root ? words(@"URL is \"%@\", which cannot be created: Permission denied.", inFolder(@"new")) : nil);
    CHECK(!root || seteuid(0) == 0);
}

static void anyNameIsAName(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    NSData *kernel = bzImage(4096, 1024 + 4096);
    for (NSString *name in @[
             @"with space", @"100%",    @"%41",         @"%2F",        @"a?b",         @"a#b",      @"a;b=c,d",
             @"ä ß 漢 😀",  @"e\u0301", @"line\nbreak", @"\"quoted\"", @"back\\slash", @"-leading", @"~",
             @"[x]",        @"tab\t",   @"\x7f",        @"%",          @"file:x",      @"&amp;"
         ]) {
        NSURL *file = writeFile(name, kernel);
        configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:file];
        CHECK_VALID(configuration);
        CHECK_EQUAL([(VZLinuxBootLoader *)configuration.bootLoader kernelPath], inFolder(name));
        NSError *error = nil;
        VZDiskImageStorageDeviceAttachment *image =
            [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:[NSURL URLWithString:file.absoluteString]
                                                           readOnly:NO
                                                              error:&error];
        CHECK_EQUAL(image.resolvedPath, inFolder(name));
        VZFileSerialPortAttachment *log = [[VZFileSerialPortAttachment alloc] initWithURL:file append:NO error:&error];
        CHECK_EQUAL(log.path, inFolder(name));
        CHECK(unlink(inFolder(name).UTF8String) == 0);
        CHECK_EQUAL(refusalOfLog(file), nil);
    }
}

static int countOfDescriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory)) {
        count++;
    }
    closedir(directory);
    return count;
}

static void noDescriptorStaysOpen(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    NSURL *image = diskImage(@"image", 512);
    NSURL *wrong = diskImage(@"wrong", 100);
    int before = countOfDescriptors();
    for (int i = 0; i < 20; i++) {
        NSError *error = nil;
        VZDiskImageStorageDeviceAttachment *attachment =
            [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:image readOnly:NO error:&error];
        configuration.storageDevices = @[ [[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:attachment] ];
        CHECK_VALID(configuration);
        CHECK(![[VZDiskImageStorageDeviceAttachment alloc] initWithURL:wrong readOnly:NO error:&error]);
        configuration.CPUCount = i % 2 ? 0 : 1;
        [configuration validateWithError:&error];
        configuration.CPUCount = 1;
        // Without waiting for the caller's pool.
        CHECK(countOfDescriptors() == before);
    }
}

int main(void) {
    void (*const tests[])(void) = {
        pathsAreBytes,
        bootFilesThatCannotBeRead,
        diskImagesThatAreNotRaw,
        diskImagesThatCannotBeAttached,
        diskImagesThatChangeAfterTheyWereAttached,
        logsThatCannotBeWritten,
        filesThatThisUserMayNotUse,
        anyNameIsAName,
        noDescriptorStaysOpen,
    };
    return runTests(tests, sizeof tests / sizeof *tests);
}
