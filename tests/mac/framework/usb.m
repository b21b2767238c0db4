// SPDX-License-Identifier: Apache-2.0
// When the completion handlers of attaching and detaching a USB device are called.
#import "policy.h"
#import <objc/runtime.h>

typedef void (^Completion)(NSError *_Nullable error);
typedef void (*Exchange)(id self, SEL selector, id<VZUSBDevice> device, Completion completion);

static Exchange original_attach, original_detach;

static Completion played_completion(VZUSBController *controller, Completion completion) {
    dispatch_queue_t queue = object_getIvar(controller, class_getInstanceVariable([VZUSBController class], "_queue"));
    return ^(NSError *_Nullable error) {
        played_mac_complete(queue, ^{
            completion(error);
        });
    };
}

static void attach(VZUSBController *self, SEL selector, id<VZUSBDevice> device, Completion completion) {
    original_attach(self, selector, device, played_completion(self, completion));
}

static void detach(VZUSBController *self, SEL selector, id<VZUSBDevice> device, Completion completion) {
    original_detach(self, selector, device, played_completion(self, completion));
}

__attribute__((constructor)) static void play_usb(void) {
    original_attach = PLAYED_MAC_METHOD(Exchange, played_mac_replace([VZUSBController class],
                                                                     @selector(attachDevice:completionHandler:),
                                                                     PLAYED_MAC_FUNCTION(attach)));
    original_detach = PLAYED_MAC_METHOD(Exchange, played_mac_replace([VZUSBController class],
                                                                     @selector(detachDevice:completionHandler:),
                                                                     PLAYED_MAC_FUNCTION(detach)));
}
