// SPDX-License-Identifier: Apache-2.0
#import "QEMUDescription.h"
#import "support/VZHostFile+Private.h"
#import <dirent.h>
#import <json_reader.h>

enum { LONGEST_DESCRIPTION = 1 << 16 };

NSDictionary<NSString *, id> *QEMUDescriptionInFile(NSString *path) {
    NSString *reason = nil;
    int number = 0;
    VZHostFile *file = [[VZHostFile alloc] initForReadingPath:path reason:&reason errorNumber:&number];
    NSData *data = [file dataOfAtMost:LONGEST_DESCRIPTION];
    // An empty one is how an administrator hides a distribution's.
    return applevz_json_read_object(data.bytes, data.length, LONGEST_DESCRIPTION, NULL);
}

static NSArray<NSString *> *description_names_in(NSString *folder) {
    NSMutableArray<NSString *> *names = [NSMutableArray array];
    DIR *directory = opendir(VZBytesOfPath(folder));
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
        [names addObject:VZPathWithBytes(entry->d_name)];
    if (directory != NULL)
        closedir(directory);
    return names;
}

NSArray<NSString *> *QEMUDescriptionsInFolders(NSArray<NSString *> *folders) {
    NSMutableDictionary<NSString *, NSString *> *paths = [NSMutableDictionary dictionary];
    for (NSString *folder in folders)
        for (NSString *name in description_names_in(folder))
            if ([name hasSuffix:@".json"] && paths[name] == nil)
                paths[name] = [folder stringByAppendingFormat:@"/%@", name];
    NSMutableArray<NSString *> *sorted = [NSMutableArray array];
    for (NSString *name in [paths.allKeys sortedArrayUsingSelector:@selector(compare:)])
        [sorted addObject:paths[name]];
    return sorted;
}
