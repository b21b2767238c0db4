// SPDX-License-Identifier: Apache-2.0
// Names that programs for macOS take for granted, used as they use them. Checks.
//   names FOLDER
#import <Cocoa/Cocoa.h>
#include "check.h"
#include <mach/mach_time.h>
#include <os/lock.h>
#include <os/log.h>
#include <sys/cdefs.h>
#include <sys/stat.h>
#include <util.h>

NS_ASSUME_NONNULL_BEGIN
typedef NSString *Word NS_TYPED_EXTENSIBLE_ENUM;
@interface Thing : NSObject
@property (nonatomic, copy, nullable) Word word NS_SWIFT_NAME(text);
- (instancetype)initWithWord:(nullable Word)word NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
+ (instancetype)new NS_UNAVAILABLE;
@end
NS_ASSUME_NONNULL_END

@implementation Thing
- (instancetype)initWithWord:(Word)word {
    if ((self = [super init]))
        _word = [word copy];
    return self;
}
@end

__dead2 static void leave(void) {
    exit(VERDICT);
}

static int unused_argument(__unused int argument) {
    int unread __unused = 3;
    return 1;
}

static void checkVersion(void) {
    NSOperatingSystemVersion version = NSProcessInfo.processInfo.operatingSystemVersion;
    CHECK(version.majorVersion == 15 && version.minorVersion == 0 && version.patchVersion == 0);
    // As @available has it, and the version that the headers are of.
    NSProcessInfo *info = [NSProcessInfo processInfo];
    CHECK([info isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion){11, 0, 0}]);
    CHECK([info isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion){14, 9, 9}]);
    CHECK([info isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion){.majorVersion = 15}]);
    CHECK(![info isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion){15, 0, 1}]);
    CHECK(![info isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion){15, 1, 0}]);
    CHECK(![info isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion){16, 0, 0}]);
    CHECK(version.majorVersion == __MAC_OS_X_VERSION_MAX_ALLOWED / 10000);
    BOOL available = NO;
    if (@available(macOS 14, *))
        available = YES;
    CHECK(available);
}

static void checkInstances(void) {
    // What a class method makes is known to be of the class.
    CHECK([NSString stringWithFormat:@"%d", 7].length == 1);
    CHECK([NSString stringWithUTF8String:"ab"].uppercaseString.length == 2);
    CHECK([NSMutableString stringWithString:@"a"].length == 1 && [NSMutableString string].length == 0);
    CHECK([NSMutableData dataWithLength:3].mutableBytes != NULL && [NSData dataWithBytes:"a" length:1].length == 1);
    CHECK([NSArray arrayWithObject:@1].count == 1 && [NSMutableArray arrayWithCapacity:2].count == 0);
    CHECK([NSMutableDictionary dictionary].count == 0 && [NSSet setWithObject:@1].anyObject != nil);
    CHECK([NSError errorWithDomain:@"d" code:3 userInfo:nil].code == 3);
    CHECK([NSCharacterSet whitespaceCharacterSet].invertedSet != nil);
    CHECK([NSIndexSet indexSetWithIndex:3].firstIndex == 3);
    CHECK([NSURL fileURLWithPath:@"/tmp"].path.length == 4 && [NSUUID UUID].UUIDString.length == 36);
    CHECK([NSPipe pipe].fileHandleForReading.fileDescriptor > 2);
    CHECK([NSDate dateWithTimeIntervalSinceNow:5].timeIntervalSinceNow > 0 &&
          NSDate.distantFuture.timeIntervalSinceNow > 0);
    CHECK([NSNumber numberWithInt:4].intValue == 4 && [NSOperationQueue mainQueue].maxConcurrentOperationCount != 0);
    CHECK([NSScanner scannerWithString:@"5"].string.length == 1);
    CHECK([NSSortDescriptor sortDescriptorWithKey:@"a" ascending:YES].ascending);
    // And what makes something else is not.
    NSDictionary *read = [NSJSONSerialization JSONObjectWithData:[NSData dataWithBytes:"{}" length:2]
                                                         options:0
                                                           error:NULL];
    CHECK(read.count == 0 && [[Thing alloc] initWithWord:@"w"].word.length == 1);
}

static void checkURLs(NSString *folder) {
    NSURL *base = [NSURL fileURLWithPath:folder isDirectory:YES];
    NSString *inside = [folder stringByAppendingPathComponent:@"a b/ż"];
    CHECK([[NSURL fileURLWithPath:@"a b/ż" relativeToURL:base].path isEqualToString:inside]);
    CHECK([[NSURL fileURLWithPath:@"/etc/passwd" relativeToURL:base].path isEqualToString:@"/etc/passwd"]);
    CHECK([[NSURL fileURLWithPath:@"x"
                    relativeToURL:[NSURL fileURLWithPath:@"/a/b" isDirectory:NO]].path isEqualToString:@"/a/x"]);
    NSURL *odd = [NSURL fileURLWithPath:@"vm\\x2d1/b"
                          relativeToURL:[NSURL fileURLWithPath:@"/a\\b/c\\d" isDirectory:NO]];
    CHECK([odd.path isEqualToString:@"/a\\b/vm\\x2d1/b"]);
    CHECK([[NSURL fileURLWithPath:@"x"
                    relativeToURL:[NSURL fileURLWithPath:@"/" isDirectory:YES]].path isEqualToString:@"/x"]);
    NSURL *sub = [NSURL fileURLWithPath:@"sub" isDirectory:YES relativeToURL:base];
    CHECK([sub.absoluteString hasSuffix:@"/sub/"] && sub.isFileURL);
    CHECK([[[NSURL alloc] initFileURLWithPath:@"f" isDirectory:NO relativeToURL:base].absoluteString hasSuffix:@"/f"]);
    NSString *here = NSFileManager.defaultManager.currentDirectoryPath;
    CHECK([[NSURL fileURLWithPath:@"f"
                    relativeToURL:nil].path isEqualToString:[here stringByAppendingPathComponent:@"f"]]);
}

static void checkFiles(NSString *folder) {
    NSError *error = nil;
    NSString *path = [folder stringByAppendingPathComponent:@"data"];
    CHECK([NSData dataWithContentsOfFile:path options:NSDataReadingMappedIfSafe error:&error] == nil);
    CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code == NSFileReadNoSuchFileError);
    NSData *data = [@"some data" dataUsingEncoding:NSUTF8StringEncoding];
    CHECK([data writeToURL:[NSURL fileURLWithPath:path] options:NSDataWritingAtomic error:&error]);
    CHECK([[NSData dataWithContentsOfFile:path options:0 error:&error] isEqualToData:data]);
    CHECK([[NSMutableData dataWithContentsOfURL:[NSURL fileURLWithPath:path] options:0
                                          error:&error] isEqualToData:data]);
    CHECK([NSMutableData dataWithContentsOfFile:path options:0 error:&error].mutableBytes != NULL);
    CHECK([[NSData alloc] initWithContentsOfURL:[NSURL fileURLWithPath:folder] options:0 error:&error] == nil);
    CHECK([error.userInfo[NSUnderlyingErrorKey] code] == EISDIR);
    NSFileManager *manager = NSFileManager.defaultManager;
    CHECK(manager.temporaryDirectory.isFileURL && manager.homeDirectoryForCurrentUser.path.isAbsolutePath);
    CHECK([manager URLsForDirectory:NSCachesDirectory inDomains:NSUserDomainMask].firstObject.isFileURL);
}

/// What cannot be read or written says why, and the one who asks need not have looked at the result before.
static void checkErrorsOfFiles(NSString *folder) {
    NSString *absent = [folder stringByAppendingPathComponent:@"absent/file"];
    NSString *path = [folder stringByAppendingPathComponent:@"text"];
    NSURL *url = [NSURL fileURLWithPath:path];
    NSData *data = [@"größe" dataUsingEncoding:NSUTF8StringEncoding];
    NSError *error = nil;
    for (NSUInteger options = 0; options <= NSDataWritingWithoutOverwriting; options++) {
        error = nil;
        CHECK(![data writeToFile:absent options:options error:&error]);
        CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code == NSFileNoSuchFileError);
        CHECK([error.userInfo[NSFilePathErrorKey] isEqualToString:absent]);
        error = nil;
        CHECK(![data writeToURL:[NSURL fileURLWithPath:folder] options:options error:&error]);
        CHECK(error.code ==
              (options == NSDataWritingWithoutOverwriting ? NSFileWriteFileExistsError : NSFileWriteUnknownError));
    }
    CHECK(![data writeToFile:absent options:0 error:NULL] && ![data writeToFile:absent atomically:YES]);
    error = nil;
    CHECK(![@"text" writeToFile:absent atomically:YES encoding:NSUTF8StringEncoding error:&error]);
    CHECK(error.code == NSFileNoSuchFileError);

    CHECK([data writeToFile:path options:0 error:&error] && [data writeToFile:path options:0 error:&error]);
    CHECK([[NSData data] writeToFile:path options:0 error:&error] && [NSData dataWithContentsOfFile:path].length == 0);
    CHECK(chmod(path.fileSystemRepresentation, 0640) == 0);
    CHECK([data writeToFile:path options:NSDataWritingAtomic error:&error]);
    struct stat status;
    CHECK(stat(path.fileSystemRepresentation, &status) == 0 && (status.st_mode & 0777) == 0640);
    CHECK(![data writeToFile:path options:NSDataWritingWithoutOverwriting error:&error]);
    CHECK(error.code == NSFileWriteFileExistsError);
    CHECK([[NSFileManager.defaultManager contentsOfDirectoryAtPath:folder error:NULL]
              indexOfObjectPassingTest:^BOOL(NSString *name, NSUInteger index, BOOL *stop) {
                  (void)index, (void)stop;
                  return [name hasPrefix:@"."];
              }] == NSNotFound);

    CHECK([[NSString stringWithContentsOfFile:path encoding:NSUTF8StringEncoding
                                        error:&error] isEqualToString:@"größe"]);
    NSStringEncoding used = 0;
    CHECK([[NSMutableString stringWithContentsOfURL:url usedEncoding:&used error:&error] length] == 5);
    CHECK(used == NSUTF8StringEncoding);
    error = nil;
    CHECK([NSString stringWithContentsOfURL:url encoding:NSASCIIStringEncoding error:&error] == nil);
    CHECK(error.code == NSFileReadInapplicableStringEncodingError);
    CHECK([error.userInfo[NSStringEncodingErrorKey] unsignedIntegerValue] == NSASCIIStringEncoding);
    CHECK([[NSData dataWithBytes:"\xff\xc0" length:2] writeToURL:url options:0 error:&error]);
    error = nil;
    CHECK([NSString stringWithContentsOfFile:path encoding:NSUTF8StringEncoding error:&error] == nil);
    CHECK(error.code == NSFileReadInapplicableStringEncodingError);
    CHECK([NSString stringWithContentsOfFile:path usedEncoding:NULL error:&error] == nil);
    CHECK(error.code == NSFileReadUnknownStringEncodingError);
    CHECK([@"größe" writeToURL:url atomically:NO encoding:NSUnicodeStringEncoding error:&error]);
    CHECK([[NSString stringWithContentsOfURL:url usedEncoding:&used error:&error] isEqualToString:@"größe"]);
    CHECK(used == NSUnicodeStringEncoding);
    error = nil;
    CHECK([NSString stringWithContentsOfFile:absent encoding:NSUTF8StringEncoding error:&error] == nil);
    CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code == NSFileReadNoSuchFileError);
    error = nil;
    CHECK([[NSString alloc] initWithContentsOfURL:[NSURL fileURLWithPath:absent] usedEncoding:NULL
                                            error:&error] == nil);
    CHECK(error.code == NSFileReadNoSuchFileError);
    CHECK([NSString stringWithContentsOfFile:absent encoding:NSUTF8StringEncoding error:NULL] == nil);
}

static void checkFolders(NSString *folder) {
    NSFileManager *manager = NSFileManager.defaultManager;
    NSString *deep = [folder stringByAppendingPathComponent:@"one/two/three"];
    NSString *file = [folder stringByAppendingPathComponent:@"a file"];
    NSError *error = nil;
    CHECK(![manager createDirectoryAtPath:deep withIntermediateDirectories:NO attributes:nil error:&error]);
    CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code == NSFileNoSuchFileError);
    NSDictionary *attributes = @{NSFilePosixPermissions : @0700};
    CHECK([manager createDirectoryAtPath:deep withIntermediateDirectories:YES attributes:attributes error:&error]);
    struct stat status;
    CHECK(stat(deep.fileSystemRepresentation, &status) == 0 && S_ISDIR(status.st_mode) &&
          (status.st_mode & 0777) == 0700);
    NSURL *url = [NSURL fileURLWithPath:deep];
    CHECK([manager createDirectoryAtURL:url withIntermediateDirectories:YES attributes:nil error:&error]);
    error = nil;
    CHECK(![manager createDirectoryAtPath:deep withIntermediateDirectories:NO attributes:nil error:&error]);
    CHECK(error.code == NSFileWriteFileExistsError);
    CHECK([manager createFileAtPath:file contents:[NSData data] attributes:nil]);
    for (NSString *path in @[ file, [file stringByAppendingPathComponent:@"below"], @"" ]) {
        error = nil;
        CHECK(![manager createDirectoryAtPath:path withIntermediateDirectories:YES attributes:nil error:&error]);
        CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code != 0);
    }
    CHECK(![manager createDirectoryAtPath:file withIntermediateDirectories:YES attributes:nil error:NULL]);
}

static void checkStrings(void) {
    char text[8] = "abc";
    CHECK(strlcat(text, "defghij", sizeof text) == 10 && strcmp(text, "abcdefg") == 0);
    CHECK(strlcpy(text, "xy", sizeof text) == 2 && strcmp(text, "xy") == 0);
    CHECK(strlcpy(text, "long enough", 3) == 11 && strcmp(text, "lo") == 0 && strlcpy(text, "z", 0) == 1);
    CHECK(strcmp(getprogname(), "names") == 0);
}

static void checkSystem(void) {
    int master, slave;
    char name[128];
    CHECK(openpty(&master, &slave, name, NULL, NULL) == 0 && isatty(slave));
    struct termios raw;
    CHECK(tcgetattr(slave, &raw) == 0);
    cfmakeraw(&raw);
    CHECK(tcsetattr(slave, TCSANOW, &raw) == 0);
    close(slave);
    close(master);

    mach_timebase_info_data_t base;
    CHECK(mach_timebase_info(&base) == KERN_SUCCESS && base.denom != 0);
    uint64_t before = mach_absolute_time();
    CHECK(mach_wait_until(before + 20000000ull * base.denom / base.numer) == KERN_SUCCESS);
    uint64_t passed = (mach_absolute_time() - before) * base.numer / base.denom;
    CHECK(passed >= 20000000 && passed < 20000000000 && mach_continuous_time() > 0);
    CHECK(clock_gettime_nsec_np(CLOCK_MONOTONIC) > 0);

    os_unfair_lock lock = OS_UNFAIR_LOCK_INIT, *shared = &lock;
    __block long sum = 0;
    dispatch_apply(8, dispatch_get_global_queue(0, 0), ^(__unused size_t i) {
        for (int j = 0; j < 20000; j++) {
            os_unfair_lock_lock(shared);
            sum++;
            os_unfair_lock_unlock(shared);
        }
    });
    CHECK(sum == 160000 && os_unfair_lock_trylock(&lock));
    os_unfair_lock_assert_owner(&lock);
    dispatch_semaphore_t tried = dispatch_semaphore_create(0);
    [NSThread detachNewThreadWithBlock:^{
        CHECK(!os_unfair_lock_trylock(shared));
        dispatch_semaphore_signal(tried);
    }];
    dispatch_semaphore_wait(tried, DISPATCH_TIME_FOREVER);
    os_unfair_lock_unlock(&lock);
}

static void checkLog(void) {
    os_log_t log = os_log_create("org.example.names", "general");
    CHECK(log == os_log_create("org.example.names", "general") && log != os_log_create("org.example.names", "other"));
    errno = ENOENT;
    os_log(OS_LOG_DEFAULT, "plain");
    os_log_error(log, "number %d, %{public}s, %{private}@, %{public}@ 100%%: %m", 7, "text", @"object", @[ @1 ]);
    os_log_info(log, "%{bool}d", 1);
    os_log_debug(log, "debug");
    os_log_fault(log, "fault");
    os_log_with_type(log, OS_LOG_TYPE_DEFAULT, "typed");
    os_log(OS_LOG_DISABLED, "silent");
    CHECK(!os_log_type_enabled(OS_LOG_DISABLED, OS_LOG_TYPE_FAULT));
    CHECK(os_log_type_enabled(log, OS_LOG_TYPE_ERROR) == (getenv("OS_ACTIVITY_DT_MODE") != NULL));
}

int main(int argc, char **argv) {
    @autoreleasepool {
        if (argc != 2)
            return 2;
        CHECK(unused_argument(1) == 1);
        checkVersion();
        checkInstances();
        checkURLs(@(argv[1]));
        checkFiles(@(argv[1]));
        checkErrorsOfFiles(@(argv[1]));
        checkFolders(@(argv[1]));
        checkStrings();
        checkSystem();
        checkLog();
    }
    leave();
}
