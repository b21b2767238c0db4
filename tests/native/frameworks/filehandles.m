// SPDX-License-Identifier: Apache-2.0
// File handles: which there are, what their end does, the methods with errors, and what goes on in the background.
//   filehandles FOLDER     with something on standard input that can be read later: checks
#import <Foundation/Foundation.h>
#include "check.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

static BOOL runUntil(BOOL (^condition)(void)) {
    NSDate *end = [NSDate dateWithTimeIntervalSinceNow:20];
    while (!condition() && end.timeIntervalSinceNow > 0)
        [NSRunLoop.currentRunLoop runMode:NSDefaultRunLoopMode beforeDate:[NSDate dateWithTimeIntervalSinceNow:0.05]];
    return condition();
}

static BOOL isOpen(int descriptor) {
    return fcntl(descriptor, F_GETFD) >= 0;
}

static BOOL raises(void (^block)(void), NSString *name) {
    @try {
        block();
    } @catch (NSException *exception) {
        return [exception.name isEqualToString:name];
    }
    return NO;
}

static NSInteger posixCode(NSError *error) {
    NSError *cause = error.userInfo[NSUnderlyingErrorKey];
    return [cause.domain isEqualToString:NSPOSIXErrorDomain] ? cause.code : 0;
}

static void checkStandardHandles(void) {
    NSFileHandle *input = NSFileHandle.fileHandleWithStandardInput;
    CHECK(input == NSFileHandle.fileHandleWithStandardInput && input.fileDescriptor == 0);
    CHECK([NSFileHandle fileHandleWithStandardOutput].fileDescriptor == 1);
    CHECK(NSFileHandle.fileHandleWithStandardError.fileDescriptor == 2);
    CHECK(NSFileHandle.fileHandleWithNullDevice == NSFileHandle.fileHandleWithNullDevice);

    // Standard input is watched, while others come and go.
    __block NSUInteger heard = 0;
    id token = [NSNotificationCenter.defaultCenter addObserverForName:NSFileHandleDataAvailableNotification
                                                               object:input
                                                                queue:nil
                                                           usingBlock:^(__unused NSNotification *note) {
                                                               heard++;
                                                           }];
    [input waitForDataInBackgroundAndNotify];
    for (int i = 0; i < 100; i++) {
        @autoreleasepool {
            CHECK(NSFileHandle.fileHandleWithStandardOutput == [NSFileHandle fileHandleWithStandardOutput]);
            CHECK([NSFileHandle fileHandleWithStandardError] == NSFileHandle.fileHandleWithStandardError);
            [NSFileHandle fileHandleWithNullDevice];
            (void)[[NSFileHandle alloc] initWithFileDescriptor:STDIN_FILENO];
            (void)[[NSFileHandle alloc] initWithFileDescriptor:STDIN_FILENO closeOnDealloc:NO];
            (void)[[NSFileHandle alloc] init];
            (void)[NSFileHandle alloc];
        }
    }
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    CHECK((flags & O_NONBLOCK) == 0);
    puts("ready");
    fflush(stdout);
    CHECK(runUntil(^{
        return (BOOL)(heard == 1);
    }));
    CHECK([[input availableData] isEqualToData:[@"first" dataUsingEncoding:NSUTF8StringEncoding]]);
    CHECK(fcntl(STDIN_FILENO, F_GETFL) == flags);
    [NSNotificationCenter.defaultCenter removeObserver:token];

    // So too with a handler on a queue.
    dispatch_semaphore_t read = dispatch_semaphore_create(0);
    __block NSData *got = nil;
    input.readabilityHandler = ^(NSFileHandle *handle) {
        got = handle.availableData;
        handle.readabilityHandler = nil;
        dispatch_semaphore_signal(read);
    };
    CHECK(NSFileHandle.fileHandleWithStandardInput.readabilityHandler != nil);
    for (int i = 0; i < 100; i++)
        @autoreleasepool {
            [NSFileHandle fileHandleWithStandardOutput];
            (void)[[NSFileHandle alloc] initWithFileDescriptor:STDIN_FILENO];
        }
    puts("again");
    fflush(stdout);
    CHECK(dispatch_semaphore_wait(read, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_SEC)) == 0);
    CHECK([got isEqualToData:[@"second" dataUsingEncoding:NSUTF8StringEncoding]]);
    CHECK(input.readabilityHandler == nil);
}

static void checkNullDevice(void) {
    NSFileHandle *nothing = NSFileHandle.fileHandleWithNullDevice;
    CHECK(nothing.fileDescriptor > STDERR_FILENO);
    [nothing closeFile];
    NSError *error = nil;
    CHECK([nothing closeAndReturnError:&error] && error == nil);
    [nothing writeData:[NSData dataWithBytes:"x" length:1]];
    CHECK([nothing readDataToEndOfFile].length == 0);
    CHECK([nothing availableData].length == 0);
}

static void checkEnds(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    @autoreleasepool {
        (void)[[NSFileHandle alloc] initWithFileDescriptor:ends[0]];
        (void)[[NSFileHandle alloc] initWithFileDescriptor:ends[0] closeOnDealloc:NO];
    }
    CHECK(isOpen(ends[0]));
    @autoreleasepool {
        (void)[[NSFileHandle alloc] initWithFileDescriptor:ends[0] closeOnDealloc:YES];
    }
    CHECK(!isOpen(ends[0]));
    @autoreleasepool {
        NSFileHandle *handle = [[NSFileHandle alloc] initWithFileDescriptor:ends[1] closeOnDealloc:YES];
        [handle closeFile];
        CHECK(!isOpen(ends[1]));
        // The number is another file's now, and neither a second closing nor the handle's end touches it.
        CHECK(dup2(STDERR_FILENO, ends[1]) == ends[1]);
        [handle closeFile];
        CHECK([handle closeAndReturnError:NULL]);
    }
    CHECK(isOpen(ends[1]));
    close(ends[1]);
    // What others made non-blocking stays so, and is waited for all the same.
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    @autoreleasepool {
        NSFileHandle *reader = [[NSFileHandle alloc] initWithFileDescriptor:ends[0]];
        int writer = ends[1];
        dispatch_after(dispatch_time(DISPATCH_TIME_NOW, 50 * NSEC_PER_MSEC), dispatch_get_global_queue(0, 0), ^{
            CHECK(write(writer, "late", 4) == 4);
        });
        NSError *error = nil;
        CHECK([[reader readDataUpToLength:4 error:&error] isEqualToData:[NSData dataWithBytes:"late" length:4]]);
    }
    CHECK(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    close(ends[0]);
    close(ends[1]);
    // A pipe's handles are its descriptors' only owners.
    int numbers[2];
    @autoreleasepool {
        NSPipe *pipe = [NSPipe pipe];
        numbers[0] = pipe.fileHandleForReading.fileDescriptor;
        numbers[1] = pipe.fileHandleForWriting.fileDescriptor;
        CHECK(isOpen(numbers[0]) && isOpen(numbers[1]));
    }
    CHECK(!isOpen(numbers[0]) && !isOpen(numbers[1]));
}

static void checkErrors(NSString *folder) {
    NSError *error = nil;
    NSURL *url = [NSURL fileURLWithPath:[folder stringByAppendingPathComponent:@"a file"]];
    CHECK([NSFileHandle fileHandleForReadingFromURL:url error:&error] == nil);
    CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code == NSFileReadNoSuchFileError);
    CHECK(posixCode(error) == ENOENT && [error.userInfo[NSFilePathErrorKey] isEqualToString:url.path]);
    CHECK([NSFileHandle fileHandleForWritingToURL:url error:&error] == nil && error.code == NSFileNoSuchFileError);
    CHECK([NSFileHandle fileHandleForUpdatingURL:url error:NULL] == nil);
    CHECK([NSFileHandle fileHandleForReadingAtPath:url.path] == nil);
    CHECK([NSFileHandle fileHandleForWritingToURL:[NSURL fileURLWithPath:folder] error:&error] == nil);
    CHECK(posixCode(error) == EISDIR);
    CHECK([NSFileHandle fileHandleForReadingFromURL:[NSURL URLWithString:@"https://example.org/"] error:&error] == nil);
    CHECK(error.code == NSFileReadUnsupportedSchemeError);

    unichar odd[] = {'/', 'e', 't', 'c', 0, 'x', 0xd800};
    CHECK([NSFileHandle fileHandleForReadingAtPath:[NSString stringWithCharacters:odd length:5]] == nil);
    CHECK([NSFileHandle fileHandleForReadingAtPath:[NSString stringWithFormat:@"/etc%C", odd[6]]] == nil);
    CHECK([NSFileHandle fileHandleForReadingAtPath:@""] == nil);

    CHECK([[NSData data] writeToFile:url.path atomically:NO]);
    NSFileHandle *file = [NSFileHandle fileHandleForUpdatingURL:url error:&error];
    CHECK(file != nil && (fcntl(file.fileDescriptor, F_GETFD) & FD_CLOEXEC));
    CHECK([file writeData:[@"0123456789" dataUsingEncoding:NSUTF8StringEncoding] error:&error]);
    unsigned long long offset = 0;
    CHECK([file getOffset:&offset error:&error] && offset == 10 && file.offsetInFile == 10);
    CHECK([file seekToOffset:2 error:&error]);
    CHECK([[file readDataUpToLength:3 error:&error] isEqualToData:[NSData dataWithBytes:"234" length:3]]);
    CHECK([file readDataUpToLength:NSUIntegerMax error:&error].length == 5);
    CHECK([file readDataUpToLength:1 error:&error].length == 0);
    CHECK([file seekToEndReturningOffset:&offset error:&error] && offset == 10);
    CHECK([file seekToEndReturningOffset:NULL error:NULL]);
    CHECK([file truncateAtOffset:4 error:&error] && file.offsetInFile == 4);
    CHECK([file synchronizeAndReturnError:&error]);
    CHECK([file seekToOffset:0 error:NULL] && [file readDataToEndOfFileAndReturnError:&error].length == 4);
    [file seekToFileOffset:1];
    CHECK(file.availableData.length == 3);
    error = nil;
    CHECK(![file seekToOffset:~0ull error:&error] && posixCode(error) == EINVAL);
    CHECK(raises(
        ^{
            [file seekToFileOffset:~0ull];
        },
        NSFileHandleOperationException));
    CHECK([file closeAndReturnError:&error]);

    // A closed one, one for writing alone, a pipe.
    error = nil;
    CHECK([file readDataToEndOfFileAndReturnError:&error] == nil && error.code == NSFileReadUnknownError);
    CHECK(posixCode(error) == EBADF);
    CHECK(![file writeData:[NSData data] error:&error] && error.code == NSFileWriteUnknownError);
    CHECK(![file getOffset:NULL error:&error] && ![file truncateAtOffset:0 error:&error]);
    CHECK(![file synchronizeAndReturnError:&error]);
    CHECK(raises(
        ^{
            [file readDataOfLength:1];
        },
        NSFileHandleOperationException));
    CHECK(raises(
        ^{
            [file writeData:[NSData dataWithBytes:"x" length:1]];
        },
        NSFileHandleOperationException));
    NSFileHandle *writer = [NSFileHandle fileHandleForWritingAtPath:url.path];
    CHECK([writer readDataUpToLength:1 error:&error] == nil && posixCode(error) == EBADF);
    NSPipe *pipe = [NSPipe pipe];
    CHECK(![pipe.fileHandleForReading getOffset:&offset error:&error] && posixCode(error) == ESPIPE);
    [pipe.fileHandleForReading closeFile];
    signal(SIGPIPE, SIG_IGN);
    CHECK(![pipe.fileHandleForWriting writeData:[NSData dataWithBytes:"x" length:1] error:&error]);
    CHECK(posixCode(error) == EPIPE);
    CHECK([NSFileHandle.fileHandleWithNullDevice synchronizeAndReturnError:&error]);
}

static void checkBackground(void) {
    NSNotificationCenter *center = NSNotificationCenter.defaultCenter;
    NSPipe *pipe = [NSPipe pipe];
    NSFileHandle *reader = pipe.fileHandleForReading;
    NSMutableArray *seen = [NSMutableArray array];
    for (NSString *name in
         @[ NSFileHandleReadCompletionNotification, NSFileHandleReadToEndOfFileCompletionNotification ])
        [center addObserverForName:name
                            object:reader
                             queue:nil
                        usingBlock:^(NSNotification *note) {
                            CHECK(NSThread.isMainThread);
                            [seen addObject:note.userInfo[NSFileHandleNotificationDataItem]];
                        }];
    [reader readInBackgroundAndNotify];
    CHECK(raises(
        ^{
            [reader readInBackgroundAndNotify];
        },
        NSFileHandleOperationException));
    [pipe.fileHandleForWriting writeData:[NSData dataWithBytes:"ab" length:2]];
    CHECK(runUntil(^{
        return (BOOL)(seen.count == 1);
    }));
    CHECK([seen[0] isEqualToData:[NSData dataWithBytes:"ab" length:2]]);
    [reader readToEndOfFileInBackgroundAndNotify];
    dispatch_async(dispatch_get_global_queue(0, 0), ^{
        [pipe.fileHandleForWriting writeData:[NSMutableData dataWithLength:300000]];
        [pipe.fileHandleForWriting closeFile];
    });
    CHECK(runUntil(^{
        return (BOOL)(seen.count == 2);
    }));
    CHECK([seen[1] length] == 300000);

    // Two handles for one descriptor: each is told, and the end of one is nothing to the other.
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    NSFileHandle *kept = [[NSFileHandle alloc] initWithFileDescriptor:ends[0] closeOnDealloc:YES];
    __block NSUInteger told = 0;
    [center addObserverForName:NSFileHandleDataAvailableNotification
                        object:kept
                         queue:nil
                    usingBlock:^(__unused NSNotification *note) {
                        told++;
                    }];
    [kept waitForDataInBackgroundAndNotify];
    @autoreleasepool {
        NSFileHandle *other = [[NSFileHandle alloc] initWithFileDescriptor:ends[0]];
        [other waitForDataInBackgroundAndNotify];
        (void)[[NSFileHandle alloc] initWithFileDescriptor:ends[0]];
    }
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(runUntil(^{
        return (BOOL)(told == 1);
    }));
    // A closed one is not told any more, nor called.
    [kept waitForDataInBackgroundAndNotify];
    kept.readabilityHandler = ^(NSFileHandle *handle) {
        (void)handle;
    };
    [kept closeFile];
    CHECK(kept.readabilityHandler == nil);
    [NSRunLoop.currentRunLoop runMode:NSDefaultRunLoopMode beforeDate:[NSDate dateWithTimeIntervalSinceNow:0.1]];
    CHECK(told == 1);
    close(ends[1]);

    // Writing, as long as there is room.
    NSPipe *full = [NSPipe pipe];
    dispatch_semaphore_t written = dispatch_semaphore_create(0);
    full.fileHandleForWriting.writeabilityHandler = ^(NSFileHandle *handle) {
        [handle writeData:[NSData dataWithBytes:"w" length:1]];
        handle.writeabilityHandler = nil;
        dispatch_semaphore_signal(written);
    };
    CHECK(dispatch_semaphore_wait(written, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_SEC)) == 0);
    CHECK([full.fileHandleForReading readDataOfLength:1].length == 1);
}

int main(int argc, char **argv) {
    @autoreleasepool {
        if (argc != 2)
            return 2;
        checkStandardHandles();
        checkNullDevice();
        checkEnds();
        checkErrors(@(argv[1]));
        checkBackground();
    }
    return VERDICT;
}
