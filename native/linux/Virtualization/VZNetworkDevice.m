// SPDX-License-Identifier: Apache-2.0
#import "VZErrors+Private.h"
#import "VZVirtualMachine+Private.h"

@implementation VZNetworkDevice {
    QEMUInstance *_instance;
    NSUInteger _index;
    VZNetworkDeviceAttachment *_configured; // the only one that QEMU has
    VZNetworkDeviceAttachment *_attachment;
}

- (instancetype)initWithIndex:(NSUInteger)index attachment:(VZNetworkDeviceAttachment *)attachment {
    self = [super init];
    if (self != nil) {
        _index = index;
        _configured = attachment;
        _attachment = attachment;
    }
    return self;
}

- (VZNetworkDeviceAttachment *)attachment {
    return _attachment;
}

- (void)setAttachment:(VZNetworkDeviceAttachment *)attachment {
    // One private network behind the host is like another.
    Class shared = [VZNATNetworkDeviceAttachment class];
    BOOL known = attachment == nil || attachment == _configured ||
                 ([attachment isKindOfClass:shared] && [_configured isKindOfClass:shared]);
    _attachment = known ? attachment : nil;
    [self tellLink];
    if (!known && self.disconnectionHandler != nil)
        self.disconnectionHandler(
            self, VZErrorWithReason(VZErrorNetworkError, @"The network device was disconnected.",
                                    [NSString stringWithFormat:@"networkDevices[%lu] cannot be connected to another %@ than "
                                                               @"the configuration's.",
                                                               (unsigned long)_index, [attachment class]],
                                    @"Connect it to the attachment of the configuration.", nil));
}

- (void)tellLink {
    if (_configured == nil)
        return;
    [_instance execute:@"set_link"
             arguments:@{@"name" : QEMUNameOfNetwork(_index), @"up" : [NSNumber numberWithBool:_attachment != nil]}
            completion:^(id result, NSError *refusal) {
                (void)result;
                (void)refusal; // there is nothing in it that could be refused; an end of QEMU has its own way to be told
            }];
}

/// A restored card has the cable as it was when it was saved.
- (void)instanceReady:(QEMUInstance *)instance {
    _instance = instance;
    [self tellLink];
}

- (void)instanceEnded {
    _instance = nil;
}

@end
