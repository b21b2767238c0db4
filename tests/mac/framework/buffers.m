// SPDX-License-Identifier: Apache-2.0
// What a Mac's kernel holds between a writer and a reader is less than Linux's: 16 KiB in a pipe, 8 KiB in a Unix
// socket (net.local.stream.sendspace), unless somebody asks for more.
#import "policy.h"
#import <fcntl.h>
#import <sys/socket.h>

enum { PIPE_BYTES = 16 << 10, SOCKET_BYTES = 8 << 10 };

// An initializer takes the object that it is given, and gives one to its caller.
static __attribute__((ns_returns_retained)) id (*original_init)(__attribute__((ns_consumed)) id self, SEL selector,
                                                                NSFileHandle *reading, NSFileHandle *writing);
static int (*original_descriptor)(id self, SEL selector);

static __attribute__((ns_returns_retained)) id init(__attribute__((ns_consumed)) id self, SEL selector,
                                                    NSFileHandle *reading, NSFileHandle *writing) {
    for (NSFileHandle *handle in @[ reading ?: (id)[NSNull null], writing ?: (id)[NSNull null] ])
        if ([handle isKindOfClass:[NSFileHandle class]])
            (void)fcntl(handle.fileDescriptor, F_SETPIPE_SZ, PIPE_BYTES); // what is no pipe stays as it is
    return original_init(self, selector, reading, writing);
}

static int descriptor(VZVirtioSocketConnection *self, SEL selector) {
    int number = original_descriptor(self, selector);
    // Linux doubles it for its own bookkeeping.
    int bytes = SOCKET_BYTES / 2;
    if (number >= 0) {
        setsockopt(number, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        setsockopt(number, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    return number;
}

#define REPLACE(class_, message, name)                                                                                 \
    original_##name = (__typeof__(original_##name))(void (*)(void))played_mac_replace(                                 \
        [class_ class], @selector(message), PLAYED_MAC_FUNCTION(name))

__attribute__((constructor)) static void play_buffers(void) {
    REPLACE(VZFileHandleSerialPortAttachment, initWithFileHandleForReading:fileHandleForWriting:, init);
    REPLACE(VZVirtioSocketConnection, fileDescriptor, descriptor);
}
