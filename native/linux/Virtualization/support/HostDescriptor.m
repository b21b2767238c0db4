// SPDX-License-Identifier: Apache-2.0
#import "HostDescriptor.h"
#import "VZErrors+Private.h"
#import "VZFilePath+Private.h"
#import "HostFileTransfer.h"
#import <dispatch/descriptor.h>
#import <dispatch/dispatch.h>
#import <errno.h>
#import <fcntl.h>
#import <sys/mman.h>
#import <stdbool.h>
#import <sys/socket.h>
#import <sys/stat.h>
#import <sys/un.h>
#import <unistd.h>

enum { SOCKET_TRIES = 8 };

@implementation HostDescriptor

- (instancetype)initWithDescriptor:(int)descriptor {
    self = [super init];
    if (self != nil)
        _number = descriptor;
    return self;
}

- (void)dealloc {
    if (_number < 0)
        return;
    // The pages of a guest go with the last hold on their file, and that takes milliseconds which the machine's queue,
    // where this often runs, has for the machine's next verb. So the descriptor goes now, and the last hold, a mapping,
    // elsewhere.
    void *hold = _isMemory ? mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, _number, 0) : MAP_FAILED;
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
    descriptor = descriptor_above_standard(descriptor);
    if (descriptor >= 0)
        return [[self alloc] initWithDescriptor:descriptor];
    if (error != NULL)
        *error = VZSystemCallError(errno, path);
    return nil;
}

+ (instancetype)duplicateOf:(int)descriptor error:(NSError **)error {
    return [self adopt:fcntl(descriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR) path:nil error:error];
}

/// With O_CREAT alone a file is made or opened, without, as both do by themselves, what is not known.
static int open_file(int folder, const char *path, int flags) {
    bool may_make = (flags & O_CREAT) != 0 && (flags & O_EXCL) == 0;
    int made_flags = may_make ? flags | O_EXCL : flags;
    int descriptor;
    do
        descriptor = openat(folder, path, made_flags | O_CLOEXEC | O_NOCTTY, 0600);
    while (descriptor < 0 && errno == EINTR);
    // The umask of the host program may leave its user nothing.
    bool is_new = (made_flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) || (flags & O_TMPFILE) == O_TMPFILE;
    if (descriptor >= 0 && is_new)
        fchmod(descriptor, 0600);
    return descriptor < 0 && may_make && errno == EEXIST ? open_file(folder, path, flags & ~O_CREAT) : descriptor;
}

+ (instancetype)openPath:(NSString *)path flags:(int)flags error:(NSError **)error {
    return [self adopt:open_file(AT_FDCWD, VZBytesOfPath(path), flags) path:path error:error];
}

+ (instancetype)createIn:(HostDescriptor *)folder name:(NSString *)name flags:(int)flags error:(NSError **)error {
    return [self adopt:open_file(folder.number, VZBytesOfPath(name), flags) path:name error:error];
}

+ (instancetype)memoryOfSize:(uint64_t)size error:(NSError **)error {
    HostDescriptor *memory = [self adopt:memfd_create("applevz", MFD_CLOEXEC) path:nil error:error];
    if (memory == nil)
        return nil;
    memory->_isMemory = YES;
    return [memory hasLength:size error:error] ? memory : nil;
}

+ (instancetype)sealedMemoryWithBytes:(const void *)bytes length:(size_t)length error:(NSError **)error {
    HostDescriptor *memory = [self adopt:memfd_create("applevz", MFD_CLOEXEC | MFD_ALLOW_SEALING) path:nil error:error];
    if (memory == nil)
        return nil;
    int failure = host_write_at(memory.number, bytes, length, 0);
    if (failure == 0 &&
        fcntl(memory.number, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        failure = errno;
    if (failure != 0) {
        VZRefuse(error, VZSystemCallError(failure, nil));
        return nil;
    }
    // One that is open for writing could not be mapped shared, to read, by every kernel.
    HostDescriptor *sealed = [memory reopenedWithFlags:O_RDONLY error:error];
    if (sealed != nil)
        sealed->_isMemory = YES;
    return sealed;
}

+ (instancetype)namelessFileIn:(NSString *)folder size:(uint64_t)size error:(NSError **)error {
    HostDescriptor *file = [self openPath:folder flags:O_TMPFILE | O_RDWR error:error];
    return [file hasLength:size error:error] ? file : nil;
}

- (BOOL)hasLength:(uint64_t)size error:(NSError **)error {
    return ftruncate(_number, (off_t)size) == 0 || VZRefuse(error, VZSystemCallError(errno, nil));
}

- (HostDescriptor *)reopenedWithFlags:(int)flags error:(NSError **)error {
    return [HostDescriptor openPath:[NSString stringWithFormat:@"/proc/self/fd/%d", _number] flags:flags error:error];
}

+ (NSArray<HostDescriptor *> *)adoptPair:(int *)descriptors result:(int)result error:(NSError **)error {
    if (result != 0) {
        if (error != NULL)
            *error = VZSystemCallError(errno, nil);
        return nil;
    }
    HostDescriptor *first = [self adopt:descriptors[0] path:nil error:error];
    HostDescriptor *second = [self adopt:descriptors[1] path:nil error:error];
    return first != nil && second != nil ? @[ first, second ] : nil;
}

+ (NSArray<HostDescriptor *> *)socketPairWithError:(NSError **)error {
    int descriptors[2];
    int result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, descriptors);
    return [self adoptPair:descriptors result:result error:error];
}

+ (NSArray<HostDescriptor *> *)listeningPairWithError:(NSError **)error {
    int number = EAGAIN;
    for (int tries = 0; tries < SOCKET_TRIES && number == EAGAIN; tries++) {
        HostDescriptor *listener = [self adopt:socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) path:nil error:error];
        HostDescriptor *connection = listener != nil
                                         ? [self adopt:socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
                                                  path:nil
                                                 error:error]
                                         : nil;
        if (connection == nil)
            return nil;
        // A name, which the kernel gives, is what a socket needs to be connected to, by others too. There is room for
        // one who waits to be accepted: that is this one, or the call fails.
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

+ (NSArray<HostDescriptor *> *)pipeWithError:(NSError **)error {
    int descriptors[2];
    int result = pipe2(descriptors, O_CLOEXEC);
    if (result == 0)
        fcntl(descriptors[0], F_SETFL, O_NONBLOCK);
    return [self adoptPair:descriptors result:result error:error];
}

@end
