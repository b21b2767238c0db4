// SPDX-License-Identifier: Apache-2.0
// Copies of a program by a fork server: argv[1] is the program (tests/native/forked), argv[2] what makes a
// server of it, and argv[3] a program that is a script.
#import "virtualization_support.h"
#import "host/HostForkServer.h"
#import "host/HostProcess.h"
#import "support/HostDescriptor.h"
#include <signal.h>
#include <sys/resource.h>

enum { COPIES = 20, PATIENCE_MILLISECONDS = 20000 };

static NSString *program, *library;

static HostProcess *start(NSString *path, NSArray<NSString *> *arguments, NSArray<HostDescriptor *> *descriptors,
                          HostForkServer *server) {
    host_process_failure failure = {0};
    HostProcess *process = [[HostProcess alloc] initWithPath:path
                                                   arguments:arguments
                                                 environment:@[ @"BESIDE=1" ]
                                                 descriptors:descriptors
                                                     prepare:NULL
                                                     context:NULL
                                           mayGainPrivileges:NO
                                                 confinement:NULL
                                                controlGroup:nil
                                                  forkServer:server
                                                     failure:&failure];
    CHECK(process != nil);
    return process;
}

/// What it wrote, once it has ended well.
static NSString *output(HostProcess *process) {
    CHECK([process hasEndedWithin:PATIENCE_MILLISECONDS]);
    host_exit end = [process reap];
    CHECK(end.known && !end.signalled && end.status == 7);
    return process.lastWords;
}

static HostForkServer *serverOf(NSString *path) {
    NSError *error = nil;
    HostForkServer *server = [[HostForkServer alloc] initWithProgram:path library:library error:&error];
    CHECK(server != nil && error == nil);
    return server;
}

/// Until a copy says that it is one.
static void waitFor(HostForkServer *server) {
    for (int i = 0; i < PATIENCE_MILLISECONDS / 10; i++) {
        if ([output(start(program, @[ @"kind" ], @[], server)) isEqual:@"copy"])
            return;
        usleep(10 * 1000);
    }
    CHECK(!"a copy was made");
}

static void aCopyIsToldWhatAProgramIsTold(void) {
    HostForkServer *server = serverOf(program);
    CHECK([server isOfProgram:program] && ![server isOfProgram:@"/bin/sh"] && ![server isOfProgram:@"/nowhere"]);
    waitFor(server);
    NSArray<HostDescriptor *> *ends = [HostDescriptor pipeWithError:NULL];
    NSString *longest = [@"" stringByPaddingToLength:40 * 1024 withString:@"x" startingAtIndex:0];
    NSArray *arguments = @[ @"told", @"", @"a b", @"\u00e4", longest ];
    for (int i = 0; i < COPIES; i++) {
        @autoreleasepool {
            NSString *executed = output(start(program, arguments, @[ ends[1] ], nil));
            NSString *copied = output(start(program, arguments, @[ ends[1] ], server));
            CHECK_EQUAL(copied, executed);
            CHECK([copied hasSuffix:@"descriptors 0 1 2 3; all is well"]);
        }
    }
}

static void aCopyForksAsFromTheCLibrary(void) {
    HostForkServer *server = serverOf(program);
    waitFor(server);
    CHECK_EQUAL(output(start(program, @[ @"fork" ], @[], server)), @"prepared 1, child 1; all is well");
}

static NSArray<HostDescriptor *> *times(NSUInteger count, HostDescriptor *one) {
    NSMutableArray<HostDescriptor *> *many = [NSMutableArray array];
    for (NSUInteger i = 0; i < count; i++)
        [many addObject:one];
    return many;
}

static void whatCannotBeCopiedIsExecuted(void) {
    HostForkServer *server = serverOf(program);
    waitFor(server);
    HostDescriptor *one = [HostDescriptor openPath:@"/dev/null" flags:O_RDWR error:NULL];
    CHECK_EQUAL(output(start(program, @[ @"kind" ], times(300, one), server)), @"program");
    CHECK_EQUAL(output(start(program, @[ @"kind" ], times(200, one), server)), @"copy");
}

static void aServerWithoutDescriptorsIsDoneWithout(void) {
    // The copy has no descriptors for what it is sent: it ends, and the program is started as without it.
    struct rlimit limit, few;
    getrlimit(RLIMIT_NOFILE, &limit);
    few = limit;
    int next = dup(STDIN_FILENO);
    close(next);
    few.rlim_cur = (rlim_t)next + 16;
    setrlimit(RLIMIT_NOFILE, &few);
    HostForkServer *poor = serverOf(program);
    setrlimit(RLIMIT_NOFILE, &limit);
    waitFor(poor);
    HostDescriptor *one = [HostDescriptor openPath:@"/dev/null" flags:O_RDWR error:NULL];
    CHECK_EQUAL(output(start(program, @[ @"kind" ], times(next + 16, one), poor)), @"program");
    CHECK_EQUAL(output(start(program, @[ @"kind" ], @[], poor)), @"copy");
}

static void aServerThatIsNoneIsRefusedOrDoneWithout(NSString *script) {
    NSError *error = nil;
    CHECK([[HostForkServer alloc] initWithProgram:script library:library error:&error] == nil);
    CHECK([error.localizedFailureReason containsString:script]);
    error = nil;
    CHECK([[HostForkServer alloc] initWithProgram:@"/nowhere" library:library error:&error] == nil && error != nil);
    error = nil;
    CHECK([[HostForkServer alloc] initWithProgram:program library:@"/nowhere" error:&error] == nil);
    CHECK([error.localizedFailureReason containsString:@"/nowhere"]);
    // What the linker cannot load is left out by it: the program tells its version, and ends.
    error = nil;
    HostForkServer *none = [[HostForkServer alloc] initWithProgram:program library:script error:&error];
    CHECK(none != nil);
    usleep(200 * 1000);
    CHECK_EQUAL(output(start(program, @[ @"kind" ], @[], none)), @"program");
}

int main(int count, char **arguments) {
    (void)count;
    signal(SIGPIPE, SIG_IGN);
    @autoreleasepool {
        program = @(arguments[1]);
        library = @(arguments[2]);
        aCopyIsToldWhatAProgramIsTold();
        aCopyForksAsFromTheCLibrary();
        whatCannotBeCopiedIsExecuted();
        aServerWithoutDescriptorsIsDoneWithout();
        aServerThatIsNoneIsRefusedOrDoneWithout(@(arguments[3]));
    }
    return failures != 0;
}
