// SPDX-License-Identifier: Apache-2.0
#import "QEMUForkServer.h"
#import "QEMU/program/QEMUProgram.h"

static __weak HostForkServer *current;

static NSObject *turn(void) {
    static NSObject *lock;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        lock = [[NSObject alloc] init];
    });
    return lock;
}

HostForkServer *QEMUForkServer(NSString *path) {
    @synchronized(turn()) {
        HostForkServer *server = current;
        return [server isOfProgram:path] ? server : nil;
    }
}

HostForkServer *QEMUHoldForkServer(NSString *library, NSError **error) {
    NSString *path = [QEMUProgram pathWithError:error];
    if (path == nil)
        return nil;
    @synchronized(turn()) {
        HostForkServer *server = current;
        if (![server isOfProgram:path])
            server = [[HostForkServer alloc] initWithProgram:path library:library error:error];
        current = server;
        return server;
    }
}
