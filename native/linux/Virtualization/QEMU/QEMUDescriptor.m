// SPDX-License-Identifier: Apache-2.0
#import "QEMUDescriptor.h"
#import "../VZErrors+Private.h"
#import <dispatch/dispatch.h>
#import <errno.h>
#import <fcntl.h>
#import <sys/mman.h>
#import <sys/socket.h>
#import <sys/un.h>
#import <unistd.h>

// Never 0, 1 or 2, also where the host program closed those: what is handed to QEMU would be taken for its own output.
enum { LOWEST_DESCRIPTOR = 3 };

enum { SOCKET_TRIES = 8 };

@implementation QEMUDescriptor

- (instancetype)initWithDescriptor:(int)descriptor {
    self = [super init];
    if (self != nil)
        _number = descriptor;
    return self;
}

- (void)dealloc {
    if (_number < 0)
        return;
    // The pages of a guest go with the last hold on their file, and that takes milliseconds which the machine's queue, where
    // this often runs, has for the machine's next verb. So the descriptor goes now, and the last hold, a mapping, elsewhere.
    void *hold = _isMemory ? mmap(NULL, 1, PROT_NONE, MAP_SHARED, _number, 0) : MAP_FAILED;
    close(_number);
    if (hold != MAP_FAILED) {
        dispatch_async(dispatch_get_global_queue(QOS_CLASS_UTILITY, 0), ^{
            munmap(hold, 1);
        });
    }
}

- (int)relinquish {
    int number = _number;
    _number = -1;
    return number;
}

+ (instancetype)adopt:(int)descriptor path:(NSString *)path error:(NSError **)error {
    if (descriptor < 0) {
        if (error != NULL)
            *error = VZSystemCallError(errno, path);
        return nil;
    }
    if (descriptor >= LOWEST_DESCRIPTOR)
        return [[self alloc] initWithDescriptor:descriptor];
    __attribute__((objc_precise_lifetime)) QEMUDescriptor *low = [[self alloc] initWithDescriptor:descriptor];
    return [self duplicateOf:low.number error:error];
}

+ (instancetype)duplicateOf:(int)descriptor error:(NSError **)error {
    return [self adopt:fcntl(descriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR) path:nil error:error];
}

+ (instancetype)openPath:(NSString *)path flags:(int)flags error:(NSError **)error {
    int descriptor;
    do
        descriptor = open(path.UTF8String, flags | O_CLOEXEC | O_NOCTTY, 0666);
    while (descriptor < 0 && errno == EINTR);
    return [self adopt:descriptor path:path error:error];
}

+ (instancetype)memoryOfSize:(uint64_t)size error:(NSError **)error {
    QEMUDescriptor *memory = [self adopt:memfd_create("applevz", MFD_CLOEXEC) path:nil error:error];
    if (memory == nil)
        return nil;
    memory->_isMemory = YES;
    return [memory hasLength:size error:error] ? memory : nil;
}

+ (instancetype)namelessFileIn:(NSString *)folder size:(uint64_t)size error:(NSError **)error {
    QEMUDescriptor *file = [self openPath:folder flags:O_TMPFILE | O_RDWR error:error];
    return [file hasLength:size error:error] ? file : nil;
}

- (BOOL)hasLength:(uint64_t)size error:(NSError **)error {
    return ftruncate(_number, (off_t)size) == 0 || VZRefuse(error, VZSystemCallError(errno, nil));
}

- (QEMUDescriptor *)reopenedWithError:(NSError **)error {
    return [QEMUDescriptor openPath:[NSString stringWithFormat:@"/proc/self/fd/%d", _number] flags:O_RDWR error:error];
}

+ (NSArray<QEMUDescriptor *> *)adoptPair:(int *)descriptors result:(int)result error:(NSError **)error {
    if (result != 0) {
        if (error != NULL)
            *error = VZSystemCallError(errno, nil);
        return nil;
    }
    QEMUDescriptor *first = [self adopt:descriptors[0] path:nil error:error];
    QEMUDescriptor *second = [self adopt:descriptors[1] path:nil error:error];
    return first != nil && second != nil ? @[ first, second ] : nil;
}

+ (NSArray<QEMUDescriptor *> *)socketPairWithError:(NSError **)error {
    int descriptors[2];
    int result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, descriptors);
    return [self adoptPair:descriptors result:result error:error];
}

+ (NSArray<QEMUDescriptor *> *)listeningPairWithError:(NSError **)error {
    int number = EAGAIN;
    for (int tries = 0; tries < SOCKET_TRIES && number == EAGAIN; tries++) {
        QEMUDescriptor *listener = [self adopt:socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) path:nil error:error];
        QEMUDescriptor *connection =
            listener != nil ? [self adopt:socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) path:nil error:error]
                            : nil;
        if (connection == nil)
            return nil;
        // A name, which the kernel gives, is what a socket needs to be connected to, by others too. There is room for one who
        // waits to be accepted: that is this one, or the call fails.
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        socklen_t length = sizeof name.sun_family;
        if (bind(listener.number, (struct sockaddr *)&name, length) == 0 && listen(listener.number, 0) == 0 &&
            (length = sizeof name, getsockname(listener.number, (struct sockaddr *)&name, &length)) == 0 &&
            connect(connection.number, (struct sockaddr *)&name, length) == 0)
            return @[ listener, connection ];
        number = errno;
    }
    VZRefuse(error, VZSystemCallError(number, nil));
    return nil;
}

+ (NSArray<QEMUDescriptor *> *)pipeWithError:(NSError **)error {
    int descriptors[2];
    int result = pipe2(descriptors, O_CLOEXEC);
    if (result == 0)
        fcntl(descriptors[0], F_SETFL, O_NONBLOCK);
    return [self adoptPair:descriptors result:result error:error];
}

@end
