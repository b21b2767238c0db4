// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "machine/VZVirtualMachine+Private.h"
#import <stdatomic.h>

// How a port is kept still. QEMU goes on sending what a guest has in its queue whenever somebody takes it, also while
// the guest stands still and after its state was saved, which then holds what was sent, too, or contradicts itself. So
// before the guest stops the port is connected to a pipe that is full, and to its attachment again when the guest runs.
// QEMU exchanges what a port is connected to in one step, under the lock with which it sends, and only while the guest
// runs; what it had begun to send goes on at the same byte. A console never waits, so it needs none of that.

@implementation VZVirtioConsolePort {
    NSString *_identifier;
    BOOL _isConsole;
    VZSerialPortAttachment *_attachment;
    QEMUInstance *_instance;
    QEMUCharacterBackend *_backend;
    NSArray<NSNumber *> *_descriptorSets; // QEMU's, of a backend that it was given while it ran
    BOOL _isRunning;
    BOOL _isConnected; // to _backend, or about to be
    BOOL _isAttachmentNew;
}

- (instancetype)initWithIdentifier:(NSString *)identifier
                     configuration:(VZVirtioConsolePortConfiguration *)configuration {
    self = [super init];
    if (self != nil) {
        _identifier = identifier;
        _isConsole = configuration.isConsole;
        _name = [configuration.name copy];
        _attachment = configuration.attachment;
        _descriptorSets = @[];
    }
    return self;
}

- (VZSerialPortAttachment *)attachment {
    return _attachment;
}

- (void)setAttachment:(VZSerialPortAttachment *)attachment {
    _isAttachmentNew = _isAttachmentNew || attachment != _attachment;
    _attachment = [attachment validateAs:@"attachment" error:NULL] ? attachment : nil;
    if (_instance != nil)
        [self makeBackend];
}

static NSNumber *next_descriptor_set(void) {
    // Above those that a command line has.
    static _Atomic(int64_t) number = 1 << 20;
    return @(atomic_fetch_add(&number, 1));
}

- (void)makeBackend {
    QEMUInstance *instance = _instance;
    NSMutableArray<NSNumber *> *sets = [NSMutableArray array];
    QEMUPathMaker path = ^(HostDescriptor *descriptor) {
        NSNumber *set = next_descriptor_set();
        [sets addObject:set];
        [instance execute:@"add-fd"
                arguments:@{@"fdset-id" : set}
               descriptor:descriptor
               completion:^(id result, NSError *refusal) {
                   (void)result;
                   (void)refusal; // what it is for is refused then, too
               }];
        return [NSString stringWithFormat:@"/dev/fdset/%@", set];
    };
    QEMUCharacterBackend *backend = [[QEMUCharacterBackend alloc] initWithAttachment:_attachment
                                                                               fresh:YES
                                                                            property:@"attachment"
                                                                                path:path
                                                                               error:NULL];
    if (backend == nil) {
        _attachment = nil;
        backend = [[QEMUCharacterBackend alloc] initWithAttachment:nil
                                                             fresh:YES
                                                          property:@"attachment"
                                                              path:path
                                                             error:NULL];
    }
    NSArray<NSNumber *> *left = _descriptorSets;
    [_backend leave];
    _backend = backend;
    _descriptorSets = sets;
    _isConnected = NO;
    if (_isRunning)
        [self connect];
    for (NSNumber *set in left)
        [instance execute:@"remove-fd"
                arguments:@{@"fdset-id" : set}
               completion:^(id result, NSError *refusal) {
                   (void)result;
                   (void)refusal;
               }];
}

- (void)change:(NSDictionary *)options completion:(void (^)(void))completion {
    [_instance execute:@"chardev-change"
             arguments:@{@"id" : _identifier, @"backend" : options}
            completion:^(id result, NSError *refusal) {
                (void)result;
                if (refusal == nil)
                    completion();
            }];
}

- (void)connect {
    QEMUCharacterBackend *backend = _backend;
    _isConnected = YES;
    [self change:backend.options
        completion:^{
            [backend wasOpened];
        }];
}

- (void)instanceReady:(QEMUInstance *)instance {
    _instance = instance;
    _backend = instance.commandLine.consolePorts[_identifier];
    _isConnected = instance.commandLine.isFresh || !self.needsHolding;
    if (_isAttachmentNew)
        [self makeBackend];
}

- (BOOL)needsHolding {
    return !_isConsole && _backend.canBeFull;
}

- (void)instanceRuns {
    _isRunning = YES;
    if (!_isConnected)
        [self connect];
}

- (void)instanceWillPause {
    _isRunning = NO;
    QEMUFullPipe *pipe = _instance.commandLine.fullPipe;
    if (!self.needsHolding || pipe == nil)
        return;
    _isConnected = NO;
    [self change:pipe.options
        completion:^{
        }];
}

- (void)instanceEnded {
    [_backend leave];
    _instance = nil;
    _backend = nil;
    _descriptorSets = @[];
    _isRunning = NO;
}

@end
