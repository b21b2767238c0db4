// SPDX-License-Identifier: Apache-2.0
#import "VZDiskOverlays+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZFilePath+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNewFile+Private.h"
#import "support/VZTemporaryNames+Private.h"
#import "host/HostFileSample.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

// Of the two folders for temporary files the one that is for large ones (file-hierarchy(7)).
static NSString *const defaultFolder = @"/var/tmp";

NSString *VZPropertyBeside(NSString *property, NSString *name) {
    NSRange dot = [property rangeOfString:@"." options:NSBackwardsSearch];
    return dot.location == NSNotFound ? name
                                      : [[property substringToIndex:NSMaxRange(dot)] stringByAppendingString:name];
}

// Where a kernel or a file system knows no nameless files it is one whose name is taken away at once.
static HostDescriptor *newFile(HostDescriptor *folder, int flags, NSError **error) {
    NSError *cause = nil;
    HostDescriptor *file = [HostDescriptor createIn:folder name:@"." flags:O_TMPFILE | O_RDWR | flags error:&cause];
    if (!file && (cause.code == EOPNOTSUPP || cause.code == EISDIR || cause.code == ENOENT)) {
        VZRemoveLeftFiles(folder);
        NSString *name = nil;
        file = VZNewTemporaryFile(folder, flags, &name, &cause);
        if (file) {
            unlinkat(folder.number, VZBytesOfPath(name), 0);
            VZLetGoOfTemporaryFile(file);
        }
    }
    return file || VZRefuse(error, cause) ? file : nil;
}

HostDescriptor *VZNewOverlayFile(NSURL *url, BOOL passesByCache, NSString *property, NSError **error) {
    NSString *suggestion = @"Name a folder in which this user may make files, on a disk with room for what the guest "
                           @"writes.";
    NSString *reason = nil;
    NSString *path = url ? VZPathOfFileURL(url, &reason) : defaultFolder;
    if (!path) {
        VZRefuseConfiguration(error, [property stringByAppendingFormat:@" %@.", reason], suggestion);
        return nil;
    }
    NSError *cause = nil;
    HostDescriptor *folder = [HostDescriptor openPath:path flags:O_PATH | O_DIRECTORY error:&cause];
    struct statfs system;
    if (folder && !url && fstatfs(folder.number, &system) == 0 &&
        (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC)) {
        VZRefuseConfiguration(error,
                              [NSString stringWithFormat:@"%@ is nil, and the default, %@, is in this host's memory.",
                                                         property, VZQuoted(path)],
                              @"Name a folder on a disk, or that one, if memory is to hold what the guest writes.");
        return nil;
    }
    HostDescriptor *file = folder ? newFile(folder, passesByCache ? O_DIRECT : 0, &cause) : nil;
    if (!file) {
        VZRefuse(error, VZInvalidConfigurationError(
                            [NSString stringWithFormat:@"%@ is %@, in which no file can be made: %@.", property,
                                                       VZQuoted(path), VZSystemCallErrorText((int)cause.code)],
                            suggestion, VZSystemCallError((int)cause.code, path)));
    }
    return file;
}

// The file may be open so that it is read by blocks alone.
static uint64_t sampleOf(VZHostFile *file) {
    NSString *path = [NSString stringWithFormat:@"/proc/self/fd/%d", file.fileDescriptor];
    HostDescriptor *opened = [HostDescriptor openPath:path flags:O_RDONLY error:NULL];
    uint64_t sample = 0;
    return opened && host_file_sample(opened.number, &sample) == 0 ? sample : 0;
}

@implementation VZOpenedImage

- (instancetype)initWithFile:(VZHostFile *)file size:(uint64_t)size base:(VZOpenedImage *)base {
    if ((self = [super init])) {
        _file = file;
        _size = size;
        _base = base;
    }
    return self;
}

- (host_overlay_base)asBase {
    host_overlay_base said = {.size = _size};
    struct stat status;
    if (!_file.isBlockDevice && fstat(_file.fileDescriptor, &status) == 0) {
        said.written_seconds = status.st_mtim.tv_sec;
        said.written_nanoseconds = (uint64_t)status.st_mtim.tv_nsec;
        said.sample = sampleOf(_file);
    }
    return said;
}

@end

static NSString *textOfTime(host_overlay_base base) {
    return [NSString stringWithFormat:@"@%lld.%09llu", (long long)base.written_seconds,
                                      (unsigned long long)base.written_nanoseconds];
}

NSString *VZWrongWithBase(host_overlay_base said, host_overlay_base found, NSString **suggestion) {
    if (said.size != found.size) {
        *suggestion = @"Attach it with the base that it was made of.";
        return [NSString stringWithFormat:@"was made of a base of %llu bytes; this one has %llu",
                                          (unsigned long long)said.size, (unsigned long long)found.size];
    }
    if (said.written_seconds != found.written_seconds || said.written_nanoseconds != found.written_nanoseconds) {
        *suggestion = [NSString
            stringWithFormat:@"Attach it with the base that it was made of, which must stay as it was. A copy "
                             @"of that has to have its time: touch -d %@ FILE.",
                             textOfTime(said)];
        return [NSString stringWithFormat:@"was made of a base that was written last at %@; this one was at %@",
                                          textOfTime(said), textOfTime(found)];
    }
    if (said.sample != found.sample) {
        *suggestion = @"Attach it with the base that it was made of, which must stay as it was.";
        return @"was made of a base that held something else, of the same size and time";
    }
    return nil;
}

NSString *VZWrongWithOverlay(VZHostFile *overlay, VZOpenedImage *base, uint64_t *size, NSString **suggestion) {
    host_overlay_base said;
    const char *wrong = host_overlay_read(overlay.fileDescriptor, 0, overlay.size, size, &said);
    if (wrong) {
        *suggestion = @"Attach an image that was made of the base here. One that is raw is attached without base.";
        return @(wrong);
    }
    return VZWrongWithBase(said, base.asBase, suggestion);
}

// 0 or errno. What is behind the end of a raw image is zeros; an overlay says itself how large it is.
static int cloneOf(VZOpenedImage *base, uint64_t size, int file) {
    if (base.base && size != base.size) {
        return EOPNOTSUPP;
    }
    if (ioctl(file, FICLONE, base.file.fileDescriptor) != 0) {
        return errno;
    }
    return size == base.size || ftruncate(file, (off_t)size) == 0 ? 0 : errno;
}

// 0 or errno.
static int fill(VZNewFile *file, VZOpenedImage *base, uint64_t size, AppleVZCloning cloning, BOOL *isClone) {
    int failure = [file create];
    if (failure == 0 && cloning != AppleVZCloningNever) {
        int wrong = cloneOf(base, size, file.file.number);
        *isClone = wrong == 0;
        failure = cloning == AppleVZCloningAlways || wrong == EFBIG || wrong == ENOSPC ? wrong : 0;
    }
    if (failure == 0 && !*isClone) {
        host_overlay_base said = base.asBase;
        failure = host_overlay_write(file.file.number, size, &said);
    }
    return failure != 0 ? failure : [file giveName];
}

BOOL VZCreateImageOfBase(NSURL *url, VZOpenedImage *base, uint64_t size, AppleVZCloning cloning, BOOL *isClone,
                         NSError **error) {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    if (!path) {
        return VZRefuse(error, VZInvalidDiskImageError([NSString stringWithFormat:@"URL %@.", reason], nil, nil));
    }
    *isClone = NO;
    VZNewFile *file = [[VZNewFile alloc] initForPath:path];
    int failure = [file lookForNameToBeReplaced:NO] ?: fill(file, base, size, cloning, isClone);
    if (failure == 0) {
        return YES;
    }
    [file giveUp];
    BOOL cannotClone = failure == EOPNOTSUPP || failure == EXDEV || failure == ENOTTY || failure == EINVAL;
    return VZRefuse(
        error,
        VZInvalidDiskImageError(
            [NSString stringWithFormat:@"The disk image %@ cannot be made: %@.", VZQuoted(path),
                                       VZSystemCallErrorText(failure)],
            cannotClone
                ? @"Both files must be in one file system that clones files, such as btrfs or XFS, and one that holds "
                  @"what differs cannot be cloned to another size. Without clone the image holds what differs from the "
                  @"base."
                : @"Name a new file in a folder that is there and that this user may write.",
            VZSystemCallError(failure, path)));
}
