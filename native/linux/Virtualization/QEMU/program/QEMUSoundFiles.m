// SPDX-License-Identifier: Apache-2.0
#import "QEMUSoundFiles.h"
#import <dispatch/dispatch.h>
#import <sys/stat.h>

enum { FILES = 64 };

NSString *QEMUIdentityOfFile(HostDescriptor *file) {
    struct stat status;
    if (fstat(file.number, &status) != 0)
        return nil;
    return [NSString stringWithFormat:@"%llu %llu %lld %lld.%09ld %lld.%09ld", (unsigned long long)status.st_dev,
                                      (unsigned long long)status.st_ino, (long long)status.st_size,
                                      (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                                      (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec];
}

/// The last ones. No ordered set: GNUstep's destroys what is taken out of it.
static NSMutableArray<NSString *> *sound_files(void) {
    static NSMutableArray *files;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        files = [NSMutableArray array];
    });
    return files;
}

BOOL QEMUFileIsSound(NSString *identity) {
    NSMutableArray<NSString *> *files = sound_files();
    @synchronized(files) {
        return identity != nil && [files containsObject:identity];
    }
}

void QEMURememberSoundFile(NSString *identity) {
    if (identity == nil)
        return;
    NSMutableArray<NSString *> *files = sound_files();
    @synchronized(files) {
        if (![files containsObject:identity])
            [files addObject:identity];
        if (files.count > FILES)
            [files removeObjectAtIndex:0];
    }
}

/// Linux before 6.13, and some file systems since, give all that happens to a file within a tick of the clock one time.
static BOOL tells_each_change(HostDescriptor *file) {
    struct timespec last = {0};
    for (int i = 0; i < 3; i++) {
        struct stat status;
        if (fstat(file.number, &status) != 0 ||
            (status.st_ctim.tv_sec == last.tv_sec && status.st_ctim.tv_nsec == last.tv_nsec))
            return NO;
        last = status.st_ctim;
        // A change that changes nothing.
        if (fchmod(file.number, status.st_mode & 07777) != 0)
            return NO;
    }
    return YES;
}

void QEMURememberWrittenFile(HostDescriptor *file) {
    if (tells_each_change(file))
        QEMURememberSoundFile(QEMUIdentityOfFile(file));
}
