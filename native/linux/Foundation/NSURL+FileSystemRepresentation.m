// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>
#import "support/VZFilePath+Private.h"

@implementation NSURL (ApplevzFileSystemRepresentation)

+ (instancetype)fileURLWithFileSystemRepresentation:(const char *)path
                                        isDirectory:(BOOL)isDirectory
                                      relativeToURL:(NSURL *)baseURL {
    // Not by Foundation's text: a name need not be UTF-8, nor in the locale's encoding.
    NSString *beginning = @"file://";
    if (path[0] != '/') {
        NSURL *base =
            baseURL ?: [self fileURLWithPath:NSFileManager.defaultManager.currentDirectoryPath isDirectory:YES];
        NSString *text = base.absoluteString;
        // Put together here: Foundation would take "a:b" for a scheme, and keeps the "./" that would hinder it.
        beginning = [text substringToIndex:NSMaxRange([text rangeOfString:@"/" options:NSBackwardsSearch])];
    }
    NSString *text = [beginning stringByAppendingString:VZEscapedPath(path)];
    return [self URLWithString:isDirectory && ![text hasSuffix:@"/"] ? [text stringByAppendingString:@"/"] : text];
}

- (const char *)fileSystemRepresentation {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(self, &reason);
    return path != nil ? VZBytesOfPath(path) : NULL;
}

- (BOOL)getFileSystemRepresentation:(char *)buffer maxLength:(NSUInteger)maxLength {
    const char *bytes = self.fileSystemRepresentation;
    size_t length = bytes != NULL ? strlen(bytes) + 1 : 0;
    if (length == 0 || length > maxLength)
        return NO;
    memcpy(buffer, bytes, length);
    return YES;
}

@end
