// SPDX-License-Identifier: Apache-2.0
#import "HostBridgeHelper.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "HostProcess.h"
#import <dispatch/descriptor.h>
#import <errno.h>
#import <shown_text.h>
#import <string.h>
#import <sys/socket.h>
#import <sys/stat.h>
#import <sys/xattr.h>
#import <unistd.h>

enum { LONGEST_MILLISECONDS = 5000, SOCKET_IN_HELPER = 3 };

static NSString *helper_path(void) {
    NSString *named = VZPathInEnvironment("APPLEVZ_BRIDGE_HELPER");
    if (named != nil)
        return named;
    for (NSString *path in @[
             @"/usr/lib/qemu/qemu-bridge-helper", @"/usr/libexec/qemu-bridge-helper",
             @"/usr/local/libexec/qemu-bridge-helper"
         ])
        if (access(VZBytesOfPath(path), X_OK) == 0)
            return path;
    return nil;
}

NSString *HostBridgeHelperMissingReason(void) {
    NSString *path = helper_path();
    if (path == nil)
        return @"QEMU's program qemu-bridge-helper is not installed";
    struct stat status;
    const char *name = VZBytesOfPath(path);
    if (stat(name, &status) != 0 || access(name, X_OK) != 0)
        return [NSString stringWithFormat:@"%@ cannot be run: %@", VZQuoted(path), VZSystemCallErrorText(errno)];
    BOOL is_root_s = (status.st_mode & S_ISUID) != 0 && status.st_uid == 0;
    if (!is_root_s && getxattr(name, "security.capability", NULL, 0) <= 0)
        return [NSString stringWithFormat:@"%@ has no privileges beyond this process's", VZQuoted(path)];
    return nil;
}

/// The descriptor that came through the socket; -1 where none did.
static int received_descriptor(int socket) {
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    int descriptor = -1;
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof descriptor))
        memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor_above_standard(descriptor);
}

HostDescriptor *HostBridgeHelperOpenTap(NSString *bridge, NSString **words) {
    NSString *path = helper_path();
    NSError *error = nil;
    NSArray<HostDescriptor *> *sockets = [HostDescriptor socketPairWithError:&error];
    if (sockets == nil) {
        *words = [NSString stringWithFormat:@"there are no file descriptors for %@", VZQuoted(path)];
        return nil;
    }
    NSArray<NSString *> *arguments =
        @[ [@"--br=" stringByAppendingString:bridge], [NSString stringWithFormat:@"--fd=%d", SOCKET_IN_HELPER] ];
    host_process_failure failure;
    HostProcess *process = [[HostProcess alloc] initWithPath:path
                                                   arguments:arguments
                                                 descriptors:@[ sockets[1] ]
                                                     prepare:NULL
                                                     context:NULL
                                           mayGainPrivileges:YES
                                                 confinement:NULL
                                                controlGroup:nil
                                                     failure:&failure];
    if (process == nil) {
        *words = [NSString stringWithFormat:@"%@ could not be run: %@ (%s)", VZQuoted(path),
                                            VZSystemCallErrorText(failure.number), failure.step];
        return nil;
    }
    BOOL ended = [process hasEndedWithin:LONGEST_MILLISECONDS];
    if (ended)
        [process reap];
    else
        [process endNow];
    int descriptor = received_descriptor(sockets[0].number);
    if (descriptor >= 0)
        return [[HostDescriptor alloc] initWithDescriptor:descriptor];
    NSString *text = process.lastWords;
    *words = !ended ? [NSString stringWithFormat:@"%@ did not answer within %d s", VZQuoted(path),
                                                 LONGEST_MILLISECONDS / 1000]
                    : [NSString stringWithFormat:@"%@ says: %@", VZQuoted(path),
                                                 text.length > 0 ? applevz_shown_words(text) : @"nothing"];
    return nil;
}
