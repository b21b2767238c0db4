// SPDX-License-Identifier: Apache-2.0
#import "QEMUSharedDirectories.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostDirectory+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMU/program/QEMUFileServerProgram.h"
#import "host/HostSpawn.h"
#import <errno.h>
#import <stdio.h>
#import <stdlib.h>
#import <sys/sysmacros.h>
#import <unistd.h>

NSDictionary<NSString *, VZSharedDirectory *> *QEMUDirectoriesOfShare(VZDirectoryShare *share) {
    if ([share isKindOfClass:[VZSingleDirectoryShare class]])
        return @{@"" : [(VZSingleDirectoryShare *)share directory]};
    return share != nil ? [(VZMultipleDirectoryShare *)share directories] : @{};
}

NSString *QEMUPropertyOfDirectory(NSString *name) {
    return name.length == 0 ? @"directory" : [NSString stringWithFormat:@"directories[%@]", VZQuoted(name)];
}

@implementation QEMUOpenDirectories {
    NSMutableArray<VZHostDirectory *> *_opened;
}

- (instancetype)initWithShare:(VZDirectoryShare *)share as:(NSString *)property error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    NSDictionary<NSString *, VZSharedDirectory *> *directories = QEMUDirectoriesOfShare(share);
    _names = [directories.allKeys sortedArrayUsingSelector:@selector(compare:)];
    _opened = [NSMutableArray array];
    _native = calloc(directories.count + 1, sizeof *_native);
    if (_native == NULL)
        abort();
    for (NSUInteger i = 0; i < directories.count; i++) {
        NSString *name = _names[i];
        NSString *place = [NSString stringWithFormat:@"%@.%@", property, QEMUPropertyOfDirectory(name)];
        VZHostDirectory *directory = [directories[name] openAs:place error:error];
        if (directory == nil)
            return nil;
        [_opened addObject:directory];
        _native[i] = (host_shared_directory){.path = VZBytesOfPath(directory.path),
                                             .device_major = major(directory.device),
                                             .device_minor = minor(directory.device),
                                             .inode = directory.inode,
                                             .name = name.length == 0 ? NULL : name.UTF8String,
                                             .read_only = directories[name].isReadOnly};
    }
    return self;
}

- (void)dealloc {
    free(_native);
}

@end
