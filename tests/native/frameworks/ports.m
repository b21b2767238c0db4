// SPDX-License-Identifier: Apache-2.0
// What a console port is connected to is exchanged while its guest writes to it: `ports KERNEL INITRD FOLDER`. The
// guest writes a number a line; what each attachment got, one after the other, is the program's output.
#import <Foundation/Foundation.h>
#import <Virtualization/Virtualization.h>

static VZVirtualMachine *machine;
static dispatch_queue_t queue;

static void on_queue(dispatch_block_t block) {
    dispatch_sync(queue, block);
}

static void fail(NSString *words) {
    fprintf(stderr, "%s\n", words.UTF8String);
    exit(1);
}

static void await(void (^verb)(void (^completion)(NSError *error))) {
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    on_queue(^{
        verb(^(NSError *error) {
            if (error != nil)
                fail(error.localizedDescription);
            dispatch_semaphore_signal(done);
        });
    });
    dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
}

static NSString *read_until(NSPipe *pipe, BOOL (^isEnough)(NSString *text)) {
    NSMutableData *data = [NSMutableData data];
    for (;;) {
        NSData *more = pipe.fileHandleForReading.availableData;
        if (more.length == 0)
            fail(@"a pipe ended");
        [data appendData:more];
        NSString *text = [[NSString alloc] initWithData:data encoding:NSUTF8StringEncoding];
        if (isEnough(text))
            return text;
    }
}

static BOOL (^lines(NSUInteger count))(NSString *) {
    return ^BOOL(NSString *text) {
        return [text componentsSeparatedByString:@"\n"].count > count;
    };
}

/// What is in it now.
static NSString *rest_of(NSPipe *pipe) {
    int descriptor = pipe.fileHandleForReading.fileDescriptor;
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    NSMutableData *data = [NSMutableData data];
    char bytes[4096];
    ssize_t count;
    while ((count = read(descriptor, bytes, sizeof bytes)) > 0)
        [data appendBytes:bytes length:(NSUInteger)count];
    return [[NSString alloc] initWithData:data encoding:NSUTF8StringEncoding];
}

static VZFileHandleSerialPortAttachment *writing_to(NSPipe *pipe) {
    return [[VZFileHandleSerialPortAttachment alloc] initWithFileHandleForReading:nil
                                                             fileHandleForWriting:pipe.fileHandleForWriting];
}

static void print(NSString *title, NSString *text) {
    printf("%s %s\n", title.UTF8String, [text stringByReplacingOccurrencesOfString:@"\n" withString:@";"].UTF8String);
    fflush(stdout);
}

int main(int argc, const char *argv[]) {
    @autoreleasepool {
        if (argc != 4)
            return 64;
        NSString *folder = @(argv[3]);
        NSPipe *keyboard = [NSPipe pipe], *screen = [NSPipe pipe], *first = [NSPipe pipe], *second = [NSPipe pipe],
               *third = [NSPipe pipe], *fourth = [NSPipe pipe], *input = [NSPipe pipe];
        VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
        configuration.memorySize = 256ull << 20;
        VZLinuxBootLoader *loader = [[VZLinuxBootLoader alloc] initWithKernelURL:[NSURL fileURLWithPath:@(argv[1])]];
        loader.initialRamdiskURL = [NSURL fileURLWithPath:@(argv[2])];
        loader.commandLine = @"console=hvc0 quiet";
        configuration.bootLoader = loader;
        VZVirtioConsoleDeviceSerialPortConfiguration *console =
            [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
        console.attachment =
            [[VZFileHandleSerialPortAttachment alloc] initWithFileHandleForReading:keyboard.fileHandleForReading
                                                              fileHandleForWriting:screen.fileHandleForWriting];
        configuration.serialPorts = @[ console ];
        VZVirtioConsolePortConfiguration *stream = [[VZVirtioConsolePortConfiguration alloc] init];
        stream.name = @"org.example.stream";
        stream.attachment = writing_to(first);
        VZVirtioConsoleDeviceConfiguration *device = [[VZVirtioConsoleDeviceConfiguration alloc] init];
        device.ports[0] = stream;
        configuration.consoleDevices = @[ device ];
        queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
        machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
        __block VZVirtioConsolePort *port = nil;
        on_queue(^{
            port = ((VZVirtioConsoleDevice *)machine.consoleDevices[0]).ports[0];
        });

        await(^(void (^completion)(NSError *)) {
            [machine startWithCompletionHandler:completion];
        });
        read_until(screen, ^BOOL(NSString *text) {
            return [text hasSuffix:@"guest# "];
        });
        [keyboard.fileHandleForWriting
            writeData:[@"p=/dev/vport1p1; while [ ! -c $p ]; do usleep 1000; done; exec 3<>$p; "
                       @"(n=0; while :; do echo $n; n=$((n + 1)); usleep 2000; done >&3 &)\n"
                          dataUsingEncoding:NSUTF8StringEncoding]];
        NSString *seen = read_until(first, lines(10));
        // Another one while the guest writes; what the first had is complete.
        on_queue(^{
            port.attachment = writing_to(second);
        });
        NSString *next = read_until(second, lines(10));
        print(@"first", [seen stringByAppendingString:rest_of(first)]);
        // Another one while it stands still.
        await(^(void (^completion)(NSError *)) {
            [machine pauseWithCompletionHandler:completion];
        });
        on_queue(^{
            port.attachment = writing_to(third);
        });
        print(@"second", [next stringByAppendingString:rest_of(second)]);
        await(^(void (^completion)(NSError *)) {
            [machine resumeWithCompletionHandler:completion];
        });
        next = read_until(third, lines(10));
        // None, and then a file.
        on_queue(^{
            port.attachment = nil;
        });
        NSString *path = [folder stringByAppendingPathComponent:@"log"];
        NSError *error = nil;
        VZFileSerialPortAttachment *file = [[VZFileSerialPortAttachment alloc] initWithURL:[NSURL fileURLWithPath:path]
                                                                                    append:NO
                                                                                     error:&error];
        usleep(100 * 1000);
        print(@"third", [next stringByAppendingString:rest_of(third)]);
        on_queue(^{
            port.attachment = file;
        });
        NSString * (^contents)(void) = ^NSString * {
            return [NSString stringWithContentsOfFile:path encoding:NSUTF8StringEncoding error:NULL] ?: @"";
        };
        while (!lines(10)(contents()))
            usleep(1000);
        // One that can no longer be opened leaves it without.
        NSString *gone = [folder stringByAppendingPathComponent:@"gone"];
        [[NSFileManager defaultManager] createDirectoryAtPath:gone
                                  withIntermediateDirectories:NO
                                                   attributes:nil
                                                        error:NULL];
        VZFileSerialPortAttachment *missing = [[VZFileSerialPortAttachment alloc]
            initWithURL:[NSURL fileURLWithPath:[gone stringByAppendingString:@"/log"]]
                 append:NO
                  error:&error];
        [[NSFileManager defaultManager] removeItemAtPath:gone error:NULL];
        on_queue(^{
            port.attachment = missing;
            print(@"missing", port.attachment == nil ? @"nil" : @"something");
        });
        usleep(100 * 1000);
        print(@"file", contents());
        // Both directions.
        on_queue(^{
            port.attachment =
                [[VZFileHandleSerialPortAttachment alloc] initWithFileHandleForReading:input.fileHandleForReading
                                                                  fileHandleForWriting:fourth.fileHandleForWriting];
        });
        [input.fileHandleForWriting writeData:[@"from the host\n" dataUsingEncoding:NSUTF8StringEncoding]];
        [keyboard.fileHandleForWriting
            writeData:[@"read line <&3; echo \"got $line.\" >&3\n" dataUsingEncoding:NSUTF8StringEncoding]];
        next = read_until(fourth, ^BOOL(NSString *text) {
            return [text rangeOfString:@"got from the host."].location != NSNotFound;
        });
        print(@"fourth", @"got it");
        await(^(void (^completion)(NSError *)) {
            [machine stopWithCompletionHandler:completion];
        });
        on_queue(^{
            machine = nil;
        });
    }
    return 0;
}
