// SPDX-License-Identifier: Apache-2.0
// "sockets": "unix": a machine's sockets are of the family AF_UNIX, as on a Mac, whatever the host's kernel has for
// guests. Who plays the guest is named in tests/native/unix_transport.h. And when a connection's completion handler is
// called. A program that is linked with this may have one of its own.
#define UnixTransport PlayedMacUnixTransport
#import "../../native/unix_transport.h"
#import "policy.h"
#import <objc/runtime.h>

typedef void (^Connected)(VZVirtioSocketConnection *_Nullable connection, NSError *_Nullable error);

static void (*original_connect)(id self, SEL selector, uint32_t port, Connected completion);

static void connect_to_port(VZVirtioSocketDevice *self, SEL selector, uint32_t port, Connected completion) {
    static int calls;
    if (++calls > 1 && played_mac_is(@"second connection", @"raises"))
        [NSException raise:NSInternalInconsistencyException format:@"A connection was asked for before."];
    dispatch_queue_t queue = object_getIvar(self, class_getInstanceVariable([VZVirtioSocketDevice class], "_queue"));
    original_connect(self, selector, port, ^(VZVirtioSocketConnection *connection, NSError *error) {
        played_mac_complete(queue, ^{
            completion(connection, error);
        });
    });
}

__attribute__((constructor)) static void play_sockets(void) {
    if (played_mac_is(@"sockets", @"unix"))
        QEMUSocketTransport.current = [[UnixTransport alloc] init];
    original_connect = (__typeof__(original_connect))(void (*)(void))played_mac_replace(
        [VZVirtioSocketDevice class], @selector(connectToPort:completionHandler:),
        PLAYED_MAC_FUNCTION(connect_to_port));
}
