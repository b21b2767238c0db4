// SPDX-License-Identifier: Apache-2.0
#import "NSConcreteFileHandle.h"
#import "NSFileErrors.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

// As much as a pipe holds.
enum { READ_SIZE = 65536 };

// What has no file under this name. GNUstep's class for sockets is left as it is, to those who ask for one.
@interface NSFileHandle (ApplevzSockets)
- (id)initAsClientAtAddress:(NSString *)address service:(NSString *)service protocol:(NSString *)protocol;
- (id)initAsClientInBackgroundAtAddress:(NSString *)address
                                service:(NSString *)service
                               protocol:(NSString *)protocol
                               forModes:(NSArray *)modes;
- (id)initAsServerAtAddress:(NSString *)address service:(NSString *)service protocol:(NSString *)protocol;
@end

static BOOL fail(NSError **error, int number, BOOL reading) {
    if (error != NULL)
        *error = NSErrorOfFile(number, reading, nil);
    return NO;
}

static void wait_for(int descriptor, short events) {
    poll(&(struct pollfd){.fd = descriptor, .events = events}, 1, -1);
}

/// read(2) that waits, whether others made the descriptor non-blocking or not.
static ssize_t read_some(int descriptor, void *bytes, size_t size) {
    for (;;) {
        ssize_t count = read(descriptor, bytes, size);
        if (count >= 0 || (errno != EINTR && errno != EAGAIN))
            return count;
        if (errno == EAGAIN)
            wait_for(descriptor, POLLIN);
    }
}

@implementation NSConcreteFileHandle {
    int _descriptor; // -1 once it was closed
    BOOL _closeOnDealloc;
    NSFileHandleOperation *_operation;
}

- (instancetype)initWithFileDescriptor:(int)descriptor closeOnDealloc:(BOOL)closeOnDealloc {
    self = [super init];
    if (self != nil) {
        _descriptor = descriptor;
        _closeOnDealloc = closeOnDealloc;
    }
    return self;
}

- (instancetype)initWithFileDescriptor:(int)descriptor {
    return [self initWithFileDescriptor:descriptor closeOnDealloc:NO];
}

- (instancetype)initWithNativeHandle:(void *)handle closeOnDealloc:(BOOL)closeOnDealloc {
    return [self initWithFileDescriptor:(int)(intptr_t)handle closeOnDealloc:closeOnDealloc];
}

- (instancetype)initWithNativeHandle:(void *)handle {
    return [self initWithNativeHandle:handle closeOnDealloc:NO];
}

- (instancetype)init {
    return [self initWithFileDescriptor:-1 closeOnDealloc:NO];
}

- (id)initAsClientAtAddress:(NSString *)address service:(NSString *)service protocol:(NSString *)protocol {
    return [[NSClassFromString(@"GSFileHandle") alloc] initAsClientAtAddress:address service:service protocol:protocol];
}

- (id)initAsClientInBackgroundAtAddress:(NSString *)address
                                service:(NSString *)service
                               protocol:(NSString *)protocol
                               forModes:(NSArray *)modes {
    return [[NSClassFromString(@"GSFileHandle") alloc] initAsClientInBackgroundAtAddress:address
                                                                                 service:service
                                                                                protocol:protocol
                                                                                forModes:modes];
}

- (id)initAsServerAtAddress:(NSString *)address service:(NSString *)service protocol:(NSString *)protocol {
    return [[NSClassFromString(@"GSFileHandle") alloc] initAsServerAtAddress:address service:service protocol:protocol];
}

- (void)dealloc {
    if (_closeOnDealloc && _descriptor >= 0)
        close(_descriptor);
}

- (int)fileDescriptor {
    return _descriptor;
}

- (void *)nativeHandle {
    return (void *)(intptr_t)_descriptor;
}

// Reading and writing.

/// What there is, at most `length` bytes or, of a file that has an end, all of it.
- (NSData *)readUpToLength:(NSUInteger)length error:(NSError **)error {
    NSMutableData *data = [NSMutableData data];
    while (data.length < length) {
        // Room is taken as it is filled: the length may be any number.
        NSUInteger had = data.length;
        NSUInteger step = MIN(length - had, (NSUInteger)MAX(READ_SIZE, (int)MIN(had, (NSUInteger)(1 << 24))));
        [data setLength:had + step];
        ssize_t count = read_some(_descriptor, (char *)data.mutableBytes + had, step);
        int number = errno;
        [data setLength:had + (NSUInteger)MAX(count, 0)];
        if (count < 0) {
            fail(error, number, YES);
            return nil;
        }
        if (count == 0)
            break;
    }
    return data;
}

- (NSData *)availableDataWithError:(NSError **)error {
    struct stat status;
    // A file has all that is left of it to give.
    if (fstat(_descriptor, &status) == 0 && S_ISREG(status.st_mode))
        return [self readUpToLength:NSUIntegerMax error:error];
    NSMutableData *data = [NSMutableData dataWithLength:READ_SIZE];
    ssize_t count = read_some(_descriptor, data.mutableBytes, READ_SIZE);
    if (count < 0) {
        fail(error, errno, YES);
        return nil;
    }
    [data setLength:(NSUInteger)count];
    return data;
}

- (NSData *)readDataToEndOfFileAndReturnError:(NSError **)error {
    return [self readUpToLength:NSUIntegerMax error:error];
}

- (NSData *)readDataUpToLength:(NSUInteger)length error:(NSError **)error {
    return [self readUpToLength:length error:error];
}

- (BOOL)writeData:(NSData *)data error:(NSError **)error {
    const char *bytes = data.bytes;
    for (NSUInteger left = data.length; left > 0;) {
        ssize_t count = write(_descriptor, bytes, left);
        if (count >= 0) {
            bytes += count;
            left -= (NSUInteger)count;
        } else if (errno == EAGAIN) {
            wait_for(_descriptor, POLLOUT);
        } else if (errno != EINTR) {
            return fail(error, errno, NO);
        }
    }
    // Nothing to write finds out that a file handle is closed, too.
    return _descriptor >= 0 || fail(error, EBADF, NO);
}

- (BOOL)getOffset:(unsigned long long *)offset error:(NSError **)error {
    return [self seek:0 from:SEEK_CUR reading:YES returning:offset error:error];
}

- (BOOL)seekToEndReturningOffset:(unsigned long long *)offset error:(NSError **)error {
    return [self seek:0 from:SEEK_END reading:YES returning:offset error:error];
}

- (BOOL)seekToOffset:(unsigned long long)offset error:(NSError **)error {
    return [self seek:offset from:SEEK_SET reading:YES returning:NULL error:error];
}

- (BOOL)seek:(unsigned long long)offset
         from:(int)origin
      reading:(BOOL)reading
    returning:(unsigned long long *)result
        error:(NSError **)error {
    off_t reached = offset <= INT64_MAX ? lseek(_descriptor, (off_t)offset, origin) : (errno = EINVAL, -1);
    if (reached < 0)
        return fail(error, errno, reading);
    if (result != NULL)
        *result = (unsigned long long)reached;
    return YES;
}

- (BOOL)truncateAtOffset:(unsigned long long)offset error:(NSError **)error {
    int result;
    do
        result = offset <= INT64_MAX ? ftruncate(_descriptor, (off_t)offset) : (errno = EINVAL, -1);
    while (result != 0 && errno == EINTR);
    return result == 0 ? [self seek:offset from:SEEK_SET reading:NO returning:NULL error:error]
                       : fail(error, errno, NO);
}

- (BOOL)synchronizeAndReturnError:(NSError **)error {
    int result;
    do
        result = fsync(_descriptor);
    while (result != 0 && errno == EINTR);
    // What has nothing to be synchronized with, a pipe or a terminal, is as it should be.
    return result == 0 || errno == EINVAL || errno == ENOTSUP || fail(error, errno, NO);
}

- (BOOL)closeAndReturnError:(NSError **)error {
    self.readabilityHandler = nil;
    self.writeabilityHandler = nil;
    int descriptor;
    @synchronized(self) {
        [_operation cancel];
        _operation = nil;
        descriptor = _descriptor;
        _descriptor = -1;
    }
    // One that is closed is closed: its number may be another file's by now. On Linux it is free whatever close says.
    return descriptor < 0 || close(descriptor) == 0 || errno == EINTR || fail(error, errno, NO);
}

// In the background.

- (void)beginInModes:(NSArray<NSString *> *)modes in:(SEL)selector step:(BOOL (^)(int descriptor))step {
    @synchronized(self) {
        if (_operation != nil)
            @throw [NSException
                exceptionWithName:NSFileHandleOperationException
                           reason:[NSString stringWithFormat:@"*** -[NSConcreteFileHandle %@]: an operation "
                                                             @"in the background has not ended yet",
                                                             NSStringFromSelector(selector)]
                         userInfo:nil];
        _operation = [[NSFileHandleOperation alloc] initWithDescriptor:_descriptor modes:modes step:step];
        if (_operation == nil)
            [self raise:NSErrorOfFile(errno, YES, nil) in:selector];
    }
}

/// An observer may begin the next operation.
- (void)endWithName:(NSNotificationName)name key:(NSString *)key value:(id)value error:(int)number {
    @synchronized(self) {
        _operation = nil;
    }
    NSMutableDictionary *userInfo = [NSMutableDictionary dictionary];
    if (key != nil && value != nil)
        userInfo[key] = value;
    if (number != 0)
        userInfo[@"NSFileHandleError"] = @(number);
    [NSNotificationCenter.defaultCenter postNotificationName:name object:self userInfo:userInfo];
}

- (void)waitForDataInBackgroundAndNotifyForModes:(NSArray *)modes {
    [self beginInModes:modes
                    in:_cmd
                  step:^(int descriptor) {
                      (void)descriptor;
                      [self endWithName:NSFileHandleDataAvailableNotification key:nil value:nil error:0];
                      return YES;
                  }];
}

- (void)readInBackgroundAndNotifyForModes:(NSArray *)modes {
    [self beginInModes:modes
                    in:_cmd
                  step:^(int descriptor) {
                      NSMutableData *data = [NSMutableData dataWithLength:READ_SIZE];
                      ssize_t count = read_some(descriptor, data.mutableBytes, READ_SIZE);
                      int number = count < 0 ? errno : 0;
                      [data setLength:(NSUInteger)MAX(count, 0)];
                      [self endWithName:NSFileHandleReadCompletionNotification
                                    key:NSFileHandleNotificationDataItem
                                  value:data
                                  error:number];
                      return YES;
                  }];
}

- (void)readToEndOfFileInBackgroundAndNotifyForModes:(NSArray *)modes {
    NSMutableData *data = [NSMutableData data];
    [self beginInModes:modes
                    in:_cmd
                  step:^(int descriptor) {
                      NSUInteger had = data.length;
                      [data setLength:had + READ_SIZE];
                      ssize_t count = read_some(descriptor, (char *)data.mutableBytes + had, READ_SIZE);
                      int number = count < 0 ? errno : 0;
                      [data setLength:had + (NSUInteger)MAX(count, 0)];
                      if (count > 0)
                          return NO;
                      [self endWithName:NSFileHandleReadToEndOfFileCompletionNotification
                                    key:NSFileHandleNotificationDataItem
                                  value:data
                                  error:number];
                      return YES;
                  }];
}

- (void)acceptConnectionInBackgroundAndNotifyForModes:(NSArray *)modes {
    [self beginInModes:modes
                    in:_cmd
                  step:^(int descriptor) {
                      int connection = accept4(descriptor, NULL, NULL, SOCK_CLOEXEC);
                      int number = connection < 0 ? errno : 0;
                      NSFileHandle *peer = connection < 0 ? nil
                                                          : [[NSFileHandle alloc] initWithFileDescriptor:connection
                                                                                          closeOnDealloc:YES];
                      [self endWithName:NSFileHandleConnectionAcceptedNotification
                                    key:NSFileHandleNotificationFileHandleItem
                                  value:peer
                                  error:number];
                      return YES;
                  }];
}

- (void)waitForDataInBackgroundAndNotify {
    [self waitForDataInBackgroundAndNotifyForModes:nil];
}

- (void)readInBackgroundAndNotify {
    [self readInBackgroundAndNotifyForModes:nil];
}

- (void)readToEndOfFileInBackgroundAndNotify {
    [self readToEndOfFileInBackgroundAndNotifyForModes:nil];
}

- (void)acceptConnectionInBackgroundAndNotify {
    [self acceptConnectionInBackgroundAndNotifyForModes:nil];
}

- (NSString *)description {
    return [NSString stringWithFormat:@"<NSConcreteFileHandle: %p> descriptor %d", (void *)self, _descriptor];
}

@end

@implementation NSNullFileHandle

- (BOOL)closeAndReturnError:(NSError **)error {
    (void)error;
    return YES;
}

@end
