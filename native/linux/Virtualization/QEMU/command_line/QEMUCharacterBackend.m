// SPDX-License-Identifier: Apache-2.0
#import "QEMUCharacterBackend.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "QEMUCommandLine+Private.h"
#import <errno.h>
#import <fcntl.h>
#import <stdlib.h>
#import <sys/ioctl.h>
#import <sys/stat.h>
#import <unistd.h>

static NSString *const Nowhere = @"/dev/null";

static mode_t kind_of(int descriptor) {
    struct stat status;
    return descriptor >= 0 && fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

static NSString *own_path(int descriptor) {
    return [NSString stringWithFormat:@"/proc/self/fd/%d", descriptor];
}

@implementation QEMUCharacterBackend {
    NSMutableArray<HostDescriptor *> *_otherEnds;
    VZSerialPortAttachment *_attachment; // its handles' descriptors are open as long as it is there
    int _handle;                         // of a regular file that is written to; -1 for none
    HostDescriptor *_file; // the same, as QEMU has it: what is set on it, its position too, is set on QEMU's
    BOOL _appends;
    BOOL _fresh;
    HostDescriptor *_log; // is emptied when QEMU has it
}

- (instancetype)initWithAttachment:(VZSerialPortAttachment *)attachment
                             fresh:(BOOL)fresh
                          property:(NSString *)property
                              path:(NS_NOESCAPE QEMUPathMaker)path
                             error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _attachment = attachment;
    _otherEnds = [NSMutableArray array];
    _handle = -1;
    _fresh = fresh;
    NSError *cause = nil;
    if ([attachment isKindOfClass:[VZFileSerialPortAttachment class]])
        _options = [self optionsOfFile:(VZFileSerialPortAttachment *)attachment path:path error:&cause];
    else if ([attachment isKindOfClass:[VZFileHandleSerialPortAttachment class]])
        _options = [self optionsOfHandles:(VZFileHandleSerialPortAttachment *)attachment path:path error:&cause];
    else if ([attachment isKindOfClass:[VZSpiceAgentPortAttachment class]])
        // Without its mouse: a guest has a pointing device of its own, or none.
        _options = @{
            @"type" : @"qemu-vdagent",
            @"data" : @{
                @"mouse" : @NO,
                @"clipboard" : [NSNumber numberWithBool:((VZSpiceAgentPortAttachment *)attachment).sharesClipboard],
            }
        };
    else
        // Not QEMU's backend null: that is one that nobody has open, so that a guest that writes to a port waits for
        // ever.
        _options = @{@"type" : @"file", @"data" : @{@"out" : Nowhere, @"append" : @YES}};
    if (_options == nil) {
        QEMUCannotOpen(error, property, cause);
        return nil;
    }
    return self;
}

- (NSDictionary *)optionsOfFile:(VZFileSerialPortAttachment *)attachment
                           path:(NS_NOESCAPE QEMUPathMaker)path
                          error:(NSError **)error {
    int flags = O_WRONLY | O_CREAT | O_NONBLOCK | O_APPEND;
    HostDescriptor *file = [HostDescriptor openPath:attachment.path flags:flags error:error];
    if (file == nil)
        return nil;
    _canBeFull = kind_of(file.number) != S_IFREG;
    [self holdOtherEndOf:file.number forReading:YES];
    // Not before QEMU is there: it may be the file of a machine that runs, for which this one's disks are still locked.
    if (!attachment.append && _fresh && !_canBeFull)
        _log = file;
    // It is emptied here if it is to be; QEMU only ever appends.
    return @{@"type" : @"file", @"data" : @{@"out" : path(file), @"append" : @YES}};
}

- (NSDictionary *)optionsOfHandles:(VZFileHandleSerialPortAttachment *)attachment
                              path:(NS_NOESCAPE QEMUPathMaker)path
                             error:(NSError **)error {
    int reading = attachment.readingFileDescriptor;
    int writing = attachment.writingFileDescriptor;
    _canBeFull = writing >= 0 && kind_of(writing) != S_IFREG;
    int both = VZCannotBeReopened(writing) ? writing : VZCannotBeReopened(reading) ? reading : -1;
    if (both >= 0) {
        // It serves both directions: validation has seen to it that there is no other for one of them.
        HostDescriptor *duplicate = [HostDescriptor duplicateOf:both error:error];
        if (duplicate == nil)
            return nil;
        [self holdTerminalOf:both];
        _canBeFull = YES;
        // For QEMU it is a serial line, which it opens for both; that it is none does no harm.
        return @{@"type" : @"serial", @"data" : @{@"device" : path(duplicate)}};
    }
    // QEMU's device always writes; without a handle for that, to nowhere. Without O_APPEND it would empty the file
    // first.
    NSMutableDictionary *data = [NSMutableDictionary dictionaryWithDictionary:@{@"out" : Nowhere, @"append" : @YES}];
    if (writing >= 0) {
        HostDescriptor *descriptor = [self descriptorOfHandle:writing mode:O_WRONLY error:error];
        if (descriptor == nil)
            return nil;
        data[@"out"] = path(descriptor);
        [self holdOtherEndOf:writing forReading:YES];
        [self findPlaceOf:descriptor handle:writing];
    }
    if (reading >= 0) {
        HostDescriptor *descriptor = [self descriptorOfHandle:reading mode:O_RDONLY error:error];
        if (descriptor == nil)
            return nil;
        data[@"in"] = path(descriptor);
        [self holdOtherEndOf:reading forReading:NO];
    }
    return @{@"type" : @"file", @"data" : data};
}

/// What QEMU is given of a file handle of the host program's: its file, opened anew, so that what QEMU sets on it, as
/// non-blocking mode, is not set on the host program's own; and opened here, where neither a FIFO without another end
/// holds anybody up nor a terminal becomes somebody's controlling one. A duplicate of what may not be opened again, as
/// a pipe of another user's.
- (HostDescriptor *)descriptorOfHandle:(int)handle mode:(int)mode error:(NSError **)error {
    HostDescriptor *reopened = [HostDescriptor openPath:own_path(handle) flags:mode | O_NONBLOCK error:NULL];
    if (reopened == nil)
        return [HostDescriptor duplicateOf:handle error:error];
    off_t place = lseek(handle, 0, SEEK_CUR);
    if (place > 0)
        lseek(reopened.number, place, SEEK_SET);
    return reopened;
}

/// Nobody reading is an error at which QEMU would try again for ever; nobody writing an end, after which QEMU discards
/// what a port's guest sends. With this end open a pipe is only full, or empty.
- (void)holdOtherEndOf:(int)descriptor forReading:(BOOL)forReading {
    if (kind_of(descriptor) != S_IFIFO)
        return;
    int mode = forReading ? O_RDONLY : O_WRONLY;
    HostDescriptor *end = [HostDescriptor openPath:own_path(descriptor) flags:mode | O_NONBLOCK error:NULL];
    if (end != nil)
        [_otherEnds addObject:end];
}

/// A pseudo-terminal that nobody has open hangs up, and QEMU would look at it again for ever.
- (void)holdTerminalOf:(int)master {
    int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal >= 0)
        [_otherEnds addObject:[[HostDescriptor alloc] initWithDescriptor:terminal]];
}

- (void)findPlaceOf:(HostDescriptor *)descriptor handle:(int)handle {
    struct stat status;
    if (fstat(handle, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    _handle = handle;
    _file = descriptor;
    _appends = (fcntl(handle, F_GETFL) & O_APPEND) || lseek(handle, 0, SEEK_CUR) >= status.st_size;
}

- (void)wasOpened {
    if (_log != nil)
        ftruncate(_log.number, 0);
    _log = nil;
    // At its end a file is appended to: so do several ports' outputs, and the host program's own, come one after the
    // other.
    if (_file != nil && !_appends)
        fcntl(_file.number, F_SETFL, fcntl(_file.number, F_GETFL) & ~O_APPEND);
}

- (void)leave {
    off_t place = _file != nil ? lseek(_file.number, 0, SEEK_CUR) : -1;
    if (place > lseek(_handle, 0, SEEK_CUR))
        lseek(_handle, place, SEEK_SET);
    _file = nil;
}

@end

@implementation QEMUFullPipe {
    HostDescriptor *_reading;
}

- (instancetype)initWithPath:(NS_NOESCAPE QEMUPathMaker)path error:(NSError **)error {
    self = [super init];
    NSArray<HostDescriptor *> *ends = [HostDescriptor pipeWithError:error];
    if (self == nil || ends == nil)
        return nil;
    _reading = ends[0];
    HostDescriptor *writing = ends[1];
    fcntl(writing.number, F_SETFL, O_NONBLOCK);
    // As small as a pipe can be, so that little is taken up.
    fcntl(writing.number, F_SETPIPE_SZ, 1);
    char bytes[4096] = {0};
    while (write(writing.number, bytes, sizeof bytes) > 0)
        ;
    _options = @{@"type" : @"file", @"data" : @{@"out" : path(writing), @"append" : @YES}};
    return self;
}

@end
