// SPDX-License-Identifier: Apache-2.0
// The older methods, which raise an exception where the newer ones give an error.
#import "NSConcreteFileHandle.h"

@implementation NSConcreteFileHandle (Exceptions)

- (void)raise:(NSError *)error in:(SEL)selector {
    NSError *cause = error.userInfo[NSUnderlyingErrorKey];
    @throw [NSException
        exceptionWithName:NSFileHandleOperationException
                   reason:[NSString stringWithFormat:@"*** -[NSConcreteFileHandle %@]: %@",
                                                     NSStringFromSelector(selector), cause.localizedDescription]
                 userInfo:@{NSUnderlyingErrorKey : error}];
}

- (NSData *)availableData {
    NSError *error = nil;
    NSData *data = [self availableDataWithError:&error];
    if (data == nil)
        [self raise:error in:_cmd];
    return data;
}

- (NSData *)readDataToEndOfFile {
    NSError *error = nil;
    NSData *data = [self readDataToEndOfFileAndReturnError:&error];
    if (data == nil)
        [self raise:error in:_cmd];
    return data;
}

- (NSData *)readDataOfLength:(unsigned int)length {
    NSError *error = nil;
    NSData *data = [self readDataUpToLength:length error:&error];
    if (data == nil)
        [self raise:error in:_cmd];
    return data;
}

- (void)writeData:(NSData *)data {
    NSError *error = nil;
    if (![self writeData:data error:&error])
        [self raise:error in:_cmd];
}

- (unsigned long long)offsetInFile {
    NSError *error = nil;
    unsigned long long offset = 0;
    if (![self getOffset:&offset error:&error])
        [self raise:error in:_cmd];
    return offset;
}

- (unsigned long long)seekToEndOfFile {
    NSError *error = nil;
    unsigned long long offset = 0;
    if (![self seekToEndReturningOffset:&offset error:&error])
        [self raise:error in:_cmd];
    return offset;
}

- (void)seekToFileOffset:(unsigned long long)offset {
    NSError *error = nil;
    if (![self seekToOffset:offset error:&error])
        [self raise:error in:_cmd];
}

- (void)truncateFileAtOffset:(unsigned long long)offset {
    NSError *error = nil;
    if (![self truncateAtOffset:offset error:&error])
        [self raise:error in:_cmd];
}

- (void)synchronizeFile {
    NSError *error = nil;
    if (![self synchronizeAndReturnError:&error])
        [self raise:error in:_cmd];
}

- (void)closeFile {
    [self closeAndReturnError:NULL];
}

@end
