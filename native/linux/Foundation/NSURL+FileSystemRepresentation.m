// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

@implementation NSURL (ApplevzFileSystemRepresentation)

+ (instancetype)fileURLWithFileSystemRepresentation:(const char *)path
                                        isDirectory:(BOOL)isDirectory
                                      relativeToURL:(NSURL *)baseURL {
    NSString *text = [NSFileManager.defaultManager stringWithFileSystemRepresentation:path length:strlen(path)];
    if (baseURL != nil && !text.isAbsolutePath)
        text = [baseURL.path stringByAppendingPathComponent:text];
    return [self fileURLWithPath:text isDirectory:isDirectory];
}

- (const char *)fileSystemRepresentation {
    return self.path.fileSystemRepresentation;
}

- (BOOL)getFileSystemRepresentation:(char *)buffer maxLength:(NSUInteger)maxLength {
    return [self.path getFileSystemRepresentation:buffer maxLength:maxLength];
}

@end
