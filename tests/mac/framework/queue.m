// SPDX-License-Identifier: Apache-2.0
// A machine, and all that belongs to it, is used on the machine's queue and nowhere else: newer systems end the process
// for any other call, and here that is done for each. What belongs to a configuration is used anywhere.
#import "policy.h"

typedef void (^Completion)(NSError *_Nullable error);
typedef void (^Connected)(VZVirtioSocketConnection *_Nullable connection, NSError *_Nullable error);

@interface VZVirtualMachine (PlayedMac)
- (void)checkQueue;
@end

static const char queue_key;

static void check(id object, SEL selector) {
    // A device does not say whose it is: any machine's queue will do for it.
    if (dispatch_get_specific(&queue_key) == NULL)
        played_mac_fail(@"-[%@ %@] was called off the machine's queue", [object class], NSStringFromSelector(selector));
}

static void check_machine(VZVirtualMachine *self, SEL selector) {
    (void)selector;
    if (dispatch_get_specific(&queue_key) != (__bridge void *)self.queue)
        played_mac_fail(@"a VZVirtualMachine was used off its queue");
}

// An initializer takes the object that it is given, and gives one to its caller.
#define MAKING __attribute__((ns_returns_retained))
#define MADE __attribute__((ns_consumed))
static id (*original_making)(MADE id self, SEL selector, VZVirtualMachineConfiguration *configuration,
                             dispatch_queue_t queue) MAKING;

static MAKING id making(MADE id self, SEL selector, VZVirtualMachineConfiguration *configuration,
                        dispatch_queue_t queue) {
    dispatch_queue_set_specific(queue, &queue_key, (__bridge void *)queue, NULL);
    return original_making(self, selector, configuration, queue);
}

#define CHECKED(name, result, parameters, arguments)                                                                   \
    static result(*original_##name) parameters;                                                                        \
    static result name parameters {                                                                                    \
        check(self, selector);                                                                                         \
        return original_##name arguments;                                                                              \
    }
#define CHECKED_GETTER(name, type) CHECKED(name, type, (id self, SEL selector), (self, selector))
#define CHECKED_SETTER(name, type) CHECKED(name, void, (id self, SEL selector, type value), (self, selector, value))

CHECKED_GETTER(machine_delegate, id)
CHECKED_SETTER(set_machine_delegate, id)
CHECKED_GETTER(network_attachment, id)
CHECKED_SETTER(set_network_attachment, id)
CHECKED_GETTER(console_delegate, id)
CHECKED_SETTER(set_console_delegate, id)
CHECKED_GETTER(console_ports, id)
CHECKED(console_port, id, (id self, SEL selector, NSUInteger index), (self, selector, index))
CHECKED_GETTER(port_attachment, id)
CHECKED_SETTER(set_port_attachment, id)
CHECKED_GETTER(share, id)
CHECKED_SETTER(set_share, id)
CHECKED_GETTER(balloon_target, uint64_t)
CHECKED_SETTER(set_balloon_target, uint64_t)
CHECKED_GETTER(displays, id)
CHECKED(add_listener, void, (id self, SEL selector, id listener, uint32_t port), (self, selector, listener, port))
CHECKED(remove_listener, void, (id self, SEL selector, uint32_t port), (self, selector, port))
CHECKED(connect_to_port, void, (id self, SEL selector, uint32_t port, Connected completion),
        (self, selector, port, completion))

#define REPLACE(class_, message, name)                                                                                 \
    original_##name = (__typeof__(original_##name))(void (*)(void))played_mac_replace(                                 \
        [class_ class], @selector(message), PLAYED_MAC_FUNCTION(name))

__attribute__((constructor)) static void play_queue(void) {
    played_mac_replace([VZVirtualMachine class], @selector(checkQueue), PLAYED_MAC_FUNCTION(check_machine));
    REPLACE(VZVirtualMachine, initWithConfiguration:queue:, making);
    REPLACE(VZVirtualMachine, delegate, machine_delegate);
    REPLACE(VZVirtualMachine, setDelegate:, set_machine_delegate);
    REPLACE(VZNetworkDevice, attachment, network_attachment);
    REPLACE(VZNetworkDevice, setAttachment:, set_network_attachment);
    REPLACE(VZVirtioConsoleDevice, delegate, console_delegate);
    REPLACE(VZVirtioConsoleDevice, setDelegate:, set_console_delegate);
    REPLACE(VZVirtioConsoleDevice, ports, console_ports);
    REPLACE(VZVirtioConsolePortArray, objectAtIndexedSubscript:, console_port);
    REPLACE(VZVirtioConsolePort, attachment, port_attachment);
    REPLACE(VZVirtioConsolePort, setAttachment:, set_port_attachment);
    REPLACE(VZVirtioFileSystemDevice, share, share);
    REPLACE(VZVirtioFileSystemDevice, setShare:, set_share);
    REPLACE(VZVirtioTraditionalMemoryBalloonDevice, targetVirtualMachineMemorySize, balloon_target);
    REPLACE(VZVirtioTraditionalMemoryBalloonDevice, setTargetVirtualMachineMemorySize:, set_balloon_target);
    REPLACE(VZGraphicsDevice, displays, displays);
    REPLACE(VZVirtioSocketDevice, setSocketListener:forPort:, add_listener);
    REPLACE(VZVirtioSocketDevice, removeSocketListenerForPort:, remove_listener);
    REPLACE(VZVirtioSocketDevice, connectToPort:completionHandler:, connect_to_port);
}
