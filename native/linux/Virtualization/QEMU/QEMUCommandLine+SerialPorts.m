// SPDX-License-Identifier: Apache-2.0
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "QEMUCommandLine+Private.h"
#import <fcntl.h>
#import <sys/stat.h>
#import <unistd.h>

@implementation QEMUCommandLine (SerialPorts)

- (BOOL)addSerialPorts:(NSArray<VZSerialPortConfiguration *> *)ports error:(NSError **)error {
    NSUInteger index = 0;
    for (VZSerialPortConfiguration *port in ports)
        if (![self addSerialPort:port index:index++ error:error])
            return NO;
    return YES;
}

/// What QEMU is given of a file handle of the host program's: its file, opened anew, so that what QEMU sets on it, as
/// non-blocking mode, is not set on the host program's own; and opened here, where neither a FIFO without another end holds
/// anybody up nor a terminal becomes somebody's controlling one. A duplicate of what may not be opened again, as a pipe of
/// another user's.
static QEMUDescriptor *descriptor_of_handle(int handle, int mode, NSError **error) {
    NSString *path = [NSString stringWithFormat:@"/proc/self/fd/%d", handle];
    QEMUDescriptor *reopened = [QEMUDescriptor openPath:path flags:mode | O_NONBLOCK error:NULL];
    if (reopened == nil)
        return [QEMUDescriptor duplicateOf:handle error:error];
    off_t place = lseek(handle, 0, SEEK_CUR);
    if (place > 0)
        lseek(reopened.number, place, SEEK_SET);
    return reopened;
}

static BOOL is_socket(int descriptor, ino_t *inode) {
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
        return NO;
    *inode = status.st_ino;
    return S_ISSOCK(status.st_mode);
}

- (BOOL)addSerialPort:(VZSerialPortConfiguration *)port index:(NSUInteger)index error:(NSError **)error {
    NSString *identifier = [NSString stringWithFormat:@"serial%lu", (unsigned long)index];
    NSString *property = [NSString stringWithFormat:@"serialPorts[%lu].attachment", (unsigned long)index];
    [self addDevice:@"virtio-serial" properties:@{@"id" : identifier, @"max_ports" : @1}];
    NSDictionary *backend = @{@"type" : @"null", @"data" : @{}};
    if ([port.attachment isKindOfClass:[VZFileSerialPortAttachment class]])
        backend = [self backendOfFile:(VZFileSerialPortAttachment *)port.attachment property:property error:error];
    else if ([port.attachment isKindOfClass:[VZFileHandleSerialPortAttachment class]])
        backend = [self backendOfFileHandles:(VZFileHandleSerialPortAttachment *)port.attachment
                                  identifier:identifier
                                    property:property
                                       error:error];
    if (backend == nil)
        return NO;
    if (backend.count > 0)
        [_preparations addObject:[[QEMUPreparation alloc] initWithCommand:@"chardev-add"
                                                                arguments:@{@"id" : identifier, @"backend" : backend}
                                                                 property:property]];
    NSDictionary *console = @{
        @"driver" : @"virtconsole",
        @"id" : [identifier stringByAppendingString:@"-console"],
        @"bus" : [identifier stringByAppendingString:@".0"],
        @"chardev" : identifier,
    };
    [_preparations addObject:[[QEMUPreparation alloc] initWithCommand:@"device_add"
                                                            arguments:console
                                                             property:property]];
    return YES;
}

- (NSDictionary *)backendOfFile:(VZFileSerialPortAttachment *)attachment
                       property:(NSString *)property
                          error:(NSError **)error {
    NSError *cause = nil;
    int flags = O_WRONLY | O_CREAT | O_NONBLOCK | (attachment.append ? O_APPEND : O_TRUNC);
    QEMUDescriptor *file = [QEMUDescriptor openPath:attachment.path flags:flags error:&cause];
    if (file == nil) {
        QEMUCannotOpen(error, property, cause);
        return nil;
    }
    // It was emptied here if it was to be; QEMU only ever appends.
    return @{@"type" : @"file", @"data" : @{@"out" : [self pathOfDescriptor:file], @"append" : @YES}};
}

/// The character device; empty where it is one of the command line already.
- (NSDictionary *)backendOfFileHandles:(VZFileHandleSerialPortAttachment *)attachment
                            identifier:(NSString *)identifier
                              property:(NSString *)property
                                 error:(NSError **)error {
    int reading = attachment.readingFileDescriptor;
    int writing = attachment.writingFileDescriptor;
    ino_t reading_inode = 0, writing_inode = 0;
    BOOL reads_socket = is_socket(reading, &reading_inode);
    BOOL writes_socket = is_socket(writing, &writing_inode);
    NSError *cause = nil;
    if (reads_socket || writes_socket) {
        // A socket cannot be opened anew, and QEMU has one device for both directions of it.
        BOOL one_socket = reading < 0 || writing < 0 || (reads_socket && writes_socket && reading_inode == writing_inode);
        if (!one_socket) {
            VZRefuse(error, VZErrorWithReason(
                                VZErrorNotSupported, @"The virtual machine could not be started.",
                                [NSString stringWithFormat:@"%@ reads from and writes to different files, of which one is "
                                                           @"a socket.", property],
                                @"Use one socket for both directions, or pipes.", nil));
            return nil;
        }
        QEMUDescriptor *socket = [QEMUDescriptor duplicateOf:writing >= 0 ? writing : reading error:&cause];
        if (socket == nil) {
            QEMUCannotOpen(error, property, cause);
            return nil;
        }
        [self add:@"-chardev" value:[NSString stringWithFormat:@"socket,id=%@,fd=%lu", identifier,
                                                               (unsigned long)[self inherit:socket]]];
        return @{};
    }
    // QEMU's device always writes; without a handle for that, to nowhere.
    // It writes at the end of a regular file: without O_APPEND it would empty it first.
    NSMutableDictionary *data = [NSMutableDictionary dictionaryWithDictionary:@{@"out" : @"/dev/null", @"append" : @YES}];
    if (writing >= 0) {
        QEMUDescriptor *descriptor = descriptor_of_handle(writing, O_WRONLY, &cause);
        if (descriptor != nil)
            data[@"out"] = [self pathOfDescriptor:descriptor];
    }
    if (reading >= 0 && cause == nil) {
        QEMUDescriptor *descriptor = descriptor_of_handle(reading, O_RDONLY, &cause);
        if (descriptor != nil)
            data[@"in"] = [self pathOfDescriptor:descriptor];
    }
    if (cause != nil) {
        QEMUCannotOpen(error, property, cause);
        return nil;
    }
    return @{@"type" : @"file", @"data" : data};
}

@end
