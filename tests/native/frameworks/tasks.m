// SPDX-License-Identifier: Apache-2.0
// Tasks: how they are told what to run, how their end is heard of, and what they leave alone. Checks.
//   tasks FOLDER
#import <Foundation/Foundation.h>
#include "check.h"
#include <sys/wait.h>

static void childEnded(int number) {
    (void)number;
}

static NSTask *shell(NSString *script) {
    NSTask *task = [[NSTask alloc] init];
    task.executableURL = [NSURL fileURLWithPath:@"/bin/sh"];
    task.arguments = @[ @"-c", script ];
    return task;
}

static BOOL raises(void (^block)(void)) {
    @try {
        block();
    } @catch (NSException *exception) {
        return [exception.name isEqualToString:NSInvalidArgumentException];
    }
    return NO;
}

static void checkOutput(NSString *folder) {
    NSTask *task = shell(@"read line; echo \"$line|$PWD|$VARIABLE|$0|$1|${HOME-none}\"; echo word >&2; exit 7");
    task.arguments = [task.arguments arrayByAddingObjectsFromArray:@[ @"-dashed name", @"zażółć \\ 'x'" ]];
    task.currentDirectoryURL = [NSURL fileURLWithPath:folder isDirectory:YES];
    task.environment = @{@"VARIABLE" : @"its value"};
    NSPipe *input = [NSPipe pipe], *output = [NSPipe pipe], *errors = [NSPipe pipe];
    task.standardInput = input;
    task.standardOutput = output;
    task.standardError = errors;
    CHECK(!task.isRunning && task.processIdentifier == 0);
    NSError *error = nil;
    CHECK([task launchAndReturnError:&error] && error == nil);
    CHECK(task.processIdentifier > 0);
    CHECK(raises(^{
        [task launchAndReturnError:NULL];
    }));
    CHECK(raises(^{
        (void)task.terminationStatus;
    }));
    [input.fileHandleForWriting writeData:[@"a line\n" dataUsingEncoding:NSUTF8StringEncoding]];
    NSString *text = [[NSString alloc] initWithData:[output.fileHandleForReading readDataToEndOfFile]
                                           encoding:NSUTF8StringEncoding];
    NSString *expected = [NSString stringWithFormat:@"a line|%@|its value|-dashed name|zażółć \\ 'x'|none\n", folder];
    CHECK([text isEqualToString:expected]);
    CHECK([[errors.fileHandleForReading readDataToEndOfFile] length] == 5);
    [task waitUntilExit];
    CHECK(!task.isRunning && task.terminationStatus == 7);
    CHECK(task.terminationReason == NSTaskTerminationReasonExit);
    [task waitUntilExit];
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void checkInheritance(void) {
    int extra = dup(STDERR_FILENO);
    NSTask *task = shell([NSString stringWithFormat:@"test ! -e /proc/self/fd/%d && test -e /proc/self/fd/1", extra]);
    signal(SIGUSR1, SIG_IGN);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    task.arguments = @[ @"-c", [task.arguments[1] stringByAppendingString:@" && kill -USR1 $$; exit 3"] ];
    CHECK([task launchAndReturnError:NULL]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    [task waitUntilExit];
    CHECK(task.terminationReason == NSTaskTerminationReasonUncaughtSignal && task.terminationStatus == SIGUSR1);
    close(extra);
}

static void checkErrors(NSString *folder) {
    NSError *error = nil;
    NSTask *task = [[NSTask alloc] init];
    CHECK(raises(^{
        [task launchAndReturnError:NULL];
    }));
    task.executableURL = [NSURL fileURLWithPath:[folder stringByAppendingPathComponent:@"missing"]];
    CHECK(![task launchAndReturnError:&error]);
    CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code == NSFileNoSuchFileError);
    CHECK([error.localizedDescription rangeOfString:@"missing"].location != NSNotFound);
    CHECK(!task.isRunning);
    CHECK(raises(^{
        [task launch];
    }));
    task.executableURL = [NSURL fileURLWithPath:folder isDirectory:YES];
    CHECK(![task launchAndReturnError:&error] && error.code == NSFileReadNoPermissionError);
    task.executableURL = [NSURL fileURLWithPath:@"/bin/true"];
    task.currentDirectoryURL = [NSURL fileURLWithPath:[folder stringByAppendingPathComponent:@"nowhere"]
                                          isDirectory:YES];
    CHECK(![task launchAndReturnError:&error] && error.code == NSFileNoSuchFileError);
    CHECK([error.localizedDescription rangeOfString:@"nowhere"].location != NSNotFound);
    unichar odd[] = {'a', 0, 'b'};
    task.currentDirectoryURL = nil;
    task.arguments = @[ [NSString stringWithCharacters:odd length:3] ];
    CHECK(![task launchAndReturnError:&error] && [error.userInfo[NSUnderlyingErrorKey] code] == EILSEQ);
    task.arguments = nil;
    // What could not be launched may be tried again.
    task.currentDirectoryURL = nil;
    CHECK([task launchAndReturnError:&error]);
    [task waitUntilExit];
    CHECK(task.terminationStatus == 0);
    CHECK([NSTask launchedTaskWithExecutableURL:[NSURL fileURLWithPath:@"/missing"]
                                      arguments:@[]
                                          error:&error
                             terminationHandler:nil] == nil);
}

static void checkEnd(void) {
    dispatch_semaphore_t ended = dispatch_semaphore_create(0);
    __block int calls = 0, notes = 0;
    NSTask *sleeper = shell(@"exec sleep 1000"), *told = shell(@"exit 0");
    id token = [NSNotificationCenter.defaultCenter addObserverForName:NSTaskDidTerminateNotification
                                                               object:nil
                                                                queue:nil
                                                           usingBlock:^(NSNotification *note) {
                                                               CHECK(![note.object isRunning] && NSThread.isMainThread);
                                                               if (note.object == sleeper || note.object == told)
                                                                   notes++;
                                                           }];
    NSError *error = nil;
    @autoreleasepool {
        // Nobody keeps this one.
        [NSTask launchedTaskWithExecutableURL:[NSURL fileURLWithPath:@"/bin/sh"]
                                    arguments:@[ @"-c", @"exit 5" ]
                                        error:&error
                           terminationHandler:^(NSTask *task) {
                               CHECK(!task.isRunning && task.terminationStatus == 5);
                               calls++;
                               dispatch_semaphore_signal(ended);
                           }];
    }
    CHECK(dispatch_semaphore_wait(ended, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_SEC)) == 0);
    sleeper.terminationHandler = ^(NSTask *task) {
        CHECK(task.terminationReason == NSTaskTerminationReasonUncaughtSignal && task.terminationStatus == SIGTERM);
        calls++;
        dispatch_semaphore_signal(ended);
    };
    CHECK([sleeper launchAndReturnError:&error] && sleeper.isRunning);
    CHECK([sleeper suspend] && [sleeper resume]);
    [sleeper terminate];
    CHECK(dispatch_semaphore_wait(ended, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_SEC)) == 0);
    [sleeper waitUntilExit];
    [sleeper terminate]; // whose number may be another process's by now
    CHECK(calls == 2 && notes == 0);

    // Without a handler, a notification, by the run loop of the thread that launched it.
    [told launch];
    NSDate *limit = [NSDate dateWithTimeIntervalSinceNow:20];
    while (notes == 0 && limit.timeIntervalSinceNow > 0)
        [NSRunLoop.currentRunLoop runMode:NSDefaultRunLoopMode beforeDate:[NSDate dateWithTimeIntervalSinceNow:0.05]];
    CHECK(notes == 1);
    [NSNotificationCenter.defaultCenter removeObserver:token];

    // Many at once, from threads without a run loop of their own to speak of.
    dispatch_apply(16, dispatch_get_global_queue(0, 0), ^(size_t i) {
        NSTask *task = shell([NSString stringWithFormat:@"exit %zu", i]);
        CHECK([task launchAndReturnError:NULL]);
        [task waitUntilExit];
        CHECK(task.terminationStatus == (int)i);
    });
}

int main(int argc, char **argv) {
    @autoreleasepool {
        if (argc != 2)
            return 2;
        struct sigaction own = {.sa_handler = childEnded}, now;
        sigaction(SIGCHLD, &own, NULL);
        checkOutput([@(argv[1]) stringByResolvingSymlinksInPath]);
        checkInheritance();
        checkErrors(@(argv[1]));
        checkEnd();
        sigaction(SIGCHLD, NULL, &now);
        CHECK(now.sa_handler == childEnded);
    }
    return VERDICT;
}
