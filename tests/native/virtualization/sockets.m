// SPDX-License-Identifier: Apache-2.0
// The socket device without the kernel's vhost_vsock, and without a machine: what is above the address family
// (unix_transport.h).
#import "virtualization_support.h"
#import "../unix_transport.h"
#import "devices/VZVirtioSocketDevice+Private.h"
static BOOL ends(int descriptor) {
    char byte;
    return recv(descriptor, &byte, 1, 0) <= 0;
}

// Those of sockets: a worker of a queue has a pipe of Foundation's, which comes and goes with it.
static NSUInteger openDescriptors(void) {
    NSUInteger count = 0;
    for (int descriptor = 0; descriptor < 1024; descriptor++) {
        struct stat status;
        count += fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode) ? 1 : 0;
    }
    return count;
}

// What happens on other queues: whether it has within a time that no host needs.
static BOOL eventually(BOOL (^condition)(void)) {
    for (int i = 0; i < 10000; i++) {
        @autoreleasepool {
            if (condition()) {
                return YES;
            }
        }
        usleep(1000);
    }
    return NO;
}

static void on(dispatch_queue_t queue, void (^work)(void)) {
    dispatch_sync(queue, ^{
        @autoreleasepool {
            work();
        }
    });
}

static VZVirtioSocketDevice *deviceOf(uint32_t guest, dispatch_queue_t queue) {
    VZVirtioSocketDevice *device = [[VZVirtioSocketDevice alloc] initWithQueue:queue];
    if (guest != 0) {
        [device guestIsReady:guest];
    }
    return device;
}

static VZVirtioSocketConnection *connected(VZVirtioSocketDevice *device, dispatch_queue_t queue, uint32_t port,
                                           NSError **error) {
    __block VZVirtioSocketConnection *result = nil;
    __block NSError *failure = nil;
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    on(queue, ^{
        [device connectToPort:port
            completionHandler:^(VZVirtioSocketConnection *connection, NSError *problem) {
                result = connection;
                failure = problem;
                dispatch_semaphore_signal(done);
            }];
        CHECK(result == nil && failure == nil);
    });
    CHECK(dispatch_semaphore_wait(done, dispatch_time(DISPATCH_TIME_NOW, 20 * (int64_t)NSEC_PER_SEC)) == 0);
    if (error) {
        *error = failure;
    }
    return result;
}

@interface Delegate : NSObject <VZVirtioSocketListenerDelegate>
@property BOOL refuses;
@property (nullable) VZVirtioSocketConnection *connection;
@property int count;
@property (nullable, weak) VZVirtioSocketDevice *device;
@end

@implementation Delegate

- (BOOL)listener:(VZVirtioSocketListener *)listener
    shouldAcceptNewConnection:(VZVirtioSocketConnection *)connection
             fromSocketDevice:(VZVirtioSocketDevice *)socketDevice {
    CHECK(listener.delegate == self);
    @synchronized(self) {
        self.device = socketDevice;
        self.connection = self.refuses ? nil : connection;
        self.count++;
    }
    return !self.refuses;
}

@end

static void aGuestIsConnectedToAndBothDirectionsEndByThemselves(void) {
    NSUInteger before = openDescriptors();
    @autoreleasepool {
        dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
        VZVirtioSocketDevice *device = deviceOf(7, queue);
        int listening = guest_listens(7, 80);
        VZVirtioSocketConnection *connection = connected(device, queue, 80, NULL);
        CHECK(connection.destinationPort == 80 && connection.sourcePort == 4711);
        CHECK((fcntl(connection.fileDescriptor, F_GETFL) & O_NONBLOCK) == 0);
        CHECK((fcntl(connection.fileDescriptor, F_GETFD) & FD_CLOEXEC) != 0);
        int theirs = accept(listening, NULL, NULL);
        char bytes[8] = {0};
        CHECK(write(connection.fileDescriptor, "hello", 5) == 5);
        CHECK(shutdown(connection.fileDescriptor, SHUT_WR) == 0);
        CHECK(read(theirs, bytes, sizeof bytes) == 5 && ends(theirs));
        CHECK(write(theirs, "bye", 3) == 3);
        close(theirs);
        CHECK(read(connection.fileDescriptor, bytes, sizeof bytes) == 3 && ends(connection.fileDescriptor));
        [connection close];
        CHECK(connection.fileDescriptor == -1);
        int other = dup(0); // it may have the number that was closed
        [connection close];
        CHECK(fcntl(other, F_GETFD) >= 0);
        close(other);
        close(listening);
    }
    CHECK(eventually(^{
        return (BOOL)(openDescriptors() == before);
    }));
}

static void aConnectionOutlivesItsDeviceAndIsClosedWithItsLastReference(void) {
    dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    int listening = guest_listens(7, 80);
    int theirs;
    @autoreleasepool {
        VZVirtioSocketConnection *connection = nil;
        __weak VZVirtioSocketDevice *gone = nil;
        @autoreleasepool {
            VZVirtioSocketDevice *device = deviceOf(7, queue);
            gone = device;
            connection = connected(device, queue, 80, NULL);
            on(queue, ^{
                [device guestIsGone];
            });
        }
        CHECK(eventually(^{
            return (BOOL)(gone == nil);
        }));
        theirs = accept(listening, NULL, NULL);
        CHECK(write(connection.fileDescriptor, "x", 1) == 1);
    }
    char byte;
    CHECK(read(theirs, &byte, 1) == 1 && ends(theirs));
    close(theirs);
    close(listening);
}

static void whereNobodyListensAndWhereThereIsNoGuestAnErrorSaysSo(void) {
    dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    VZVirtioSocketDevice *device = deviceOf(0, queue);
    NSError *error = nil;
    NSUInteger before = openDescriptors();
    CHECK(connected(device, queue, 80, &error) == nil);
    CHECK(error.code == VZErrorInvalidVirtualMachineState);
    CHECK_EQUAL(error.localizedFailureReason, @"The virtual machine has no guest now.");
    [device guestIsReady:7];
    CHECK(connected(device, queue, 80, &error) == nil);
    CHECK_EQUAL(error.domain, NSPOSIXErrorDomain);
    CHECK(error.code == ECONNREFUSED);
    CHECK(openDescriptors() == before);
}

static void whatIsAboutToBeConnectedIsToldOfTheEndOnce(void) {
    dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    UnixTransport *transport = (UnixTransport *)QEMUSocketTransport.current;
    NSUInteger before = openDescriptors();
    transport.isStalled = YES;
    for (int released = 0; released < 2; released++) {
        __block int calls = 0;
        __block NSInteger code = 0;
        @autoreleasepool {
            VZVirtioSocketDevice *device = deviceOf(7, queue);
            on(queue, ^{
                [device connectToPort:80
                    completionHandler:^(VZVirtioSocketConnection *connection, NSError *error) {
                        CHECK(connection == nil);
                        calls++;
                        code = error.code;
                    }];
            });
            on(queue, ^{
                CHECK(calls == 0);
                if (!released) {
                    [device guestIsGone];
                }
            });
        }
        CHECK(eventually(^{
            __block BOOL called = NO;
            on(queue, ^{
                called = calls > 0;
            });
            return called;
        }));
        CHECK(calls == 1 && code == VZErrorOperationCancelled);
        stalledEnd = nil;
    }
    transport.isStalled = NO;
    CHECK(eventually(^{
        return (BOOL)(openDescriptors() == before);
    }));
}

static void aListenerTakesItsGuestsConnectionsAndNoOthers(void) {
    NSUInteger before = openDescriptors();
    @autoreleasepool {
        dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
        dispatch_queue_t otherQueue = dispatch_queue_create("another machine", DISPATCH_QUEUE_SERIAL);
        VZVirtioSocketDevice *device = deviceOf(0, queue), *other = deviceOf(8, otherQueue);
        VZVirtioSocketListener *listener = [[VZVirtioSocketListener alloc] init];
        VZVirtioSocketListener *otherListener = [[VZVirtioSocketListener alloc] init];
        Delegate *delegate = [[Delegate alloc] init], *otherDelegate = [[Delegate alloc] init];
        otherListener.delegate = otherDelegate;
        on(queue, ^{
            [device setSocketListener:listener forPort:99];
            [device guestIsReady:7];
        });
        on(otherQueue, ^{
            [other setSocketListener:otherListener forPort:99];
        });

        // Without a delegate, of a guest that nobody has, and by a delegate's word, it ends.
        int caller = guest_connects(7, 1000, 99);
        CHECK(ends(caller));
        close(caller);
        listener.delegate = delegate;
        caller = guest_connects(1234, 1000, 99);
        CHECK(ends(caller));
        close(caller);
        CHECK(delegate.count == 0);
        delegate.refuses = YES;
        caller = guest_connects(7, 1001, 99);
        CHECK(ends(caller));
        close(caller);
        CHECK(delegate.count == 1);

        delegate.refuses = NO;
        caller = guest_connects(7, 1002, 99);
        int otherCaller = guest_connects(8, 1003, 99);
        CHECK(eventually(^{
            return (BOOL)(delegate.count == 2 && otherDelegate.count == 1);
        }));
        CHECK(delegate.device == device && otherDelegate.device == other);
        CHECK(delegate.connection.sourcePort == 1002 && delegate.connection.destinationPort == 99);
        CHECK(otherDelegate.connection.sourcePort == 1003);
        CHECK(write(caller, "7", 1) == 1 && write(otherCaller, "8", 1) == 1);
        char byte = 0;
        CHECK(read(delegate.connection.fileDescriptor, &byte, 1) == 1 && byte == '7');
        CHECK(read(otherDelegate.connection.fileDescriptor, &byte, 1) == 1 && byte == '8');
        [delegate.connection close];
        CHECK(ends(caller));
        close(caller);

        // A guest that is gone has no connections any more, the other one has.
        on(queue, ^{
            [device guestIsGone];
        });
        caller = guest_connects(7, 1004, 99);
        CHECK(ends(caller));
        close(caller);
        CHECK(write(otherCaller, "8", 1) == 1);
        CHECK(read(otherDelegate.connection.fileDescriptor, &byte, 1) == 1);
        close(otherCaller);
        on(queue, ^{
            [device removeSocketListenerForPort:99];
            [device removeSocketListenerForPort:100];
        });
        caller = guest_connects(8, 1005, 99);
        CHECK(caller >= 0);
        close(caller);
        CHECK(eventually(^{
            return (BOOL)(otherDelegate.count == 2);
        }));
    }
    // With the last device that listens the port is free: it is closed behind it.
    CHECK(eventually(^{
        return (BOOL)(openDescriptors() == before);
    }));
    CHECK(guest_connects(8, 1006, 99) == -1 && errno == ECONNREFUSED);
}

static void aPortIsFreeAtOnceAndTakenAgain(void) {
    dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    VZVirtioSocketDevice *device = deviceOf(7, queue);
    VZVirtioSocketListener *listener = [[VZVirtioSocketListener alloc] init];
    for (int i = 0; i < 100; i++) {
        on(queue, ^{
            NSError *error = nil;
            CHECK([device applevzSetSocketListener:listener forPort:98 error:&error] && error == nil);
            [device removeSocketListenerForPort:98];
        });
    }
}

// Its socket is closed when the poller has let go of it, for which whoever listens anew waits.
static void aPortIsFreeForOneWhoComesWhenItsDeviceHasGone(void) {
    dispatch_queue_t queue = dispatch_queue_create("queue", DISPATCH_QUEUE_SERIAL);
    VZVirtioSocketListener *listener = [[VZVirtioSocketListener alloc] init];
    for (int i = 0; i < 3000; i++) {
        on(queue, ^{
            VZVirtioSocketDevice *device = deviceOf(5, queue);
            NSError *error = nil;
            CHECK([device applevzSetSocketListener:listener forPort:96 error:&error] && error == nil);
            if (i % 2 == 0)
                [device removeSocketListenerForPort:96];
        });
    }
}

static void aPortOfAnotherProgramIsRefusedInWords(void) {
    dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    VZVirtioSocketDevice *device = deviceOf(7, queue);
    VZVirtioSocketListener *listener = [[VZVirtioSocketListener alloc] init];
    int taken = unix_socket("host", 0, 97, 0);
    on(queue, ^{
        NSError *error = nil;
        CHECK(![device applevzSetSocketListener:listener forPort:97 error:&error]);
        CHECK(error.code == VZErrorNetworkError);
        CHECK_EQUAL(error.localizedFailureReason,
                    @"The guest's connections cannot be taken. port is 97: Address already in use.");
        CHECK([error.localizedRecoverySuggestion hasPrefix:@"Another program of this host listens to it."]);
    });
    close(taken);
}

static void aConfigurationHasOneAtMostAndIsNotSaved(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    CHECK_EQUAL(configuration.socketDevices, @[]);
    configuration.socketDevices = @[ [[VZVirtioSocketDeviceConfiguration alloc] init] ];
    CHECK_VALID(configuration);
    VZVirtualMachineConfiguration *copy = [configuration copy];
    CHECK(copy.socketDevices.count == 1 && copy.socketDevices[0] != configuration.socketDevices[0]);
    NSError *error = nil;
    CHECK(![configuration validateSaveRestoreSupportWithError:&error]);
    CHECK_EQUAL(error.localizedFailureReason,
                @"A machine of this configuration cannot be saved. "
                @"socketDevices[0] is a VZVirtioSocketDeviceConfiguration, whose connections are "
                @"the host kernel's, which are not saved.");
    configuration.socketDevices =
        @[ [[VZVirtioSocketDeviceConfiguration alloc] init], [[VZVirtioSocketDeviceConfiguration alloc] init] ];
    CHECK_REFUSED(configuration, @"socketDevices has 2 devices.", @"at most one");
}

static void aHostWithoutTheModuleSaysWhichOneToLoad(void) {
    QEMUSocketTransport *unixTransport = QEMUSocketTransport.current;
    QEMUSocketTransport.current = [[QEMUSocketTransport alloc] init];
    NSError *missing = QEMUSocketTransport.current.missingError;
    if (access("/dev/vhost-vsock", F_OK) != 0) {
        CHECK(missing.code == VZErrorNotSupported);
        CHECK_EQUAL(missing.localizedFailureReason,
                    @"Guests cannot have sockets to this host. /dev/vhost-vsock cannot be opened: "
                    @"No such file or directory.");
        CHECK([missing.localizedRecoverySuggestion
            hasPrefix:@"Load the kernel's module for it: `modprobe vhost_vsock`."]);
        VZVirtualMachineConfiguration *configuration = validConfiguration();
        configuration.socketDevices = @[ [[VZVirtioSocketDeviceConfiguration alloc] init] ];
        NSError *error = nil;
        CHECK(![configuration validateWithError:&error]);
        CHECK(error.code == VZErrorNotSupported);
        CHECK_EQUAL(error.localizedFailureReason, [@"socketDevices[0] is a VZVirtioSocketDeviceConfiguration. "
                                                      stringByAppendingString:missing.localizedFailureReason]);
    }
    QEMUSocketTransport.current = unixTransport;
}

int main(void) {
    void (*const tests[])(void) = {
        aGuestIsConnectedToAndBothDirectionsEndByThemselves,
        aConnectionOutlivesItsDeviceAndIsClosedWithItsLastReference,
        whereNobodyListensAndWhereThereIsNoGuestAnErrorSaysSo,
        whatIsAboutToBeConnectedIsToldOfTheEndOnce,
        aListenerTakesItsGuestsConnectionsAndNoOthers,
        aPortIsFreeAtOnceAndTakenAgain,
        aPortIsFreeForOneWhoComesWhenItsDeviceHasGone,
        aPortOfAnotherProgramIsRefusedInWords,
        aConfigurationHasOneAtMostAndIsNotSaved,
        aHostWithoutTheModuleSaysWhichOneToLoad,
    };
    QEMUSocketTransport.current = [[UnixTransport alloc] init];
    return runTests(tests, sizeof tests / sizeof *tests);
}
