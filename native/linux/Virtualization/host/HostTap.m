// SPDX-License-Identifier: Apache-2.0
#import "HostTap.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "HostBridgeHelper.h"
#import <dispatch/descriptor.h>
#import <errno.h>
#import <fcntl.h>
#import <linux/capability.h>
#import <linux/ethtool.h>
#import <linux/if_tun.h>
#import <linux/sockios.h>
#import <net/if.h>
#import <string.h>
#import <sys/ioctl.h>
#import <sys/socket.h>
#import <sys/syscall.h>
#import <unistd.h>

static NSString *const Device = @"/dev/net/tun";

/// Any socket takes the requests that are about interfaces. -1 where there is none.
static int control_socket(void) {
    return descriptor_above_standard(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

/// NO for a name that no interface can have.
static BOOL set_name(struct ifreq *request, NSString *name) {
    *request = (struct ifreq){0};
    const char *text = name.UTF8String;
    if (text == NULL || strlen(text) >= sizeof request->ifr_name)
        return NO;
    strcpy(request->ifr_name, text);
    return YES;
}

BOOL HostIsBridge(NSString *name) {
    struct ifreq request;
    struct ethtool_drvinfo information = {.cmd = ETHTOOL_GDRVINFO};
    int socket = set_name(&request, name) ? control_socket() : -1;
    if (socket < 0)
        return NO;
    request.ifr_data = (void *)&information;
    BOOL is_bridge = ioctl(socket, SIOCETHTOOL, &request) == 0 && strcmp(information.driver, "bridge") == 0;
    close(socket);
    return is_bridge;
}

static NSError *unsupported(NSString *reason, NSString *suggestion, int number) {
    return VZErrorWithReason(VZErrorNotSupported, @"Machines cannot be connected to a bridge on this host.", reason,
                             suggestion, number != 0 ? VZSystemCallError(number, Device) : nil);
}

NSError *HostNoBridgeError(void) {
    return unsupported(
        @"The host has no bridge.",
        @"Make one, as by `ip link add br0 type bridge` and `ip link set br0 up`, and connect a network card of "
        @"the host's to it.",
        0);
}

static BOOL may_administer_networks(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective & (1U << CAP_NET_ADMIN)) != 0;
}

NSError *HostTapMissingError(void) {
    int device = descriptor_above_standard(open(Device.fileSystemRepresentation, O_RDWR | O_CLOEXEC));
    int number = errno;
    if (device >= 0)
        close(device);
    // Where the kernel has no tap devices, the helper has none either.
    else if (number != EACCES && number != EPERM)
        return unsupported(
            [NSString stringWithFormat:@"%@ cannot be opened: %@.", Device, VZSystemCallErrorText(number)],
            @"Load the kernel's module for it: `modprobe tun`.", number);
    if (device >= 0 && may_administer_networks())
        return nil;
    NSString *helper = HostBridgeHelperMissingReason();
    if (helper == nil)
        return nil;
    return unsupported([NSString stringWithFormat:@"This process lacks %@, and %@.",
                                                  device < 0 ? [NSString stringWithFormat:@"access to %@", Device]
                                                             : @"the privilege to administer networks (CAP_NET_ADMIN)",
                                                  helper],
                       @"Run it with that privilege, or give it to QEMU's helper, as by `chmod u+s "
                       @"/usr/lib/qemu/qemu-bridge-helper`, and "
                       @"allow the bridge in /etc/qemu/bridge.conf.",
                       device < 0 ? number : EPERM);
}

/// Makes the tap device a port of the bridge, and brings it up. 0, or the errno of the step that failed.
static int join(const char *tap, NSString *bridge, NSString **step) {
    struct ifreq port = {0}, request;
    strcpy(port.ifr_name, tap);
    int socket = set_name(&request, bridge) ? control_socket() : -1;
    if (socket < 0)
        return errno;
    *step = @"Reading the bridge's MTU";
    int result = ioctl(socket, SIOCGIFMTU, &request);
    if (result == 0) {
        // A port with a smaller one would lower that of the bridge.
        *step = @"Setting its MTU";
        port.ifr_mtu = request.ifr_mtu;
        result = ioctl(socket, SIOCSIFMTU, &port);
    }
    if (result == 0) {
        // A bridge has the least address of its ports: none of these, which come and go, may be it.
        *step = @"Setting its address";
        result = ioctl(socket, SIOCGIFHWADDR, &port);
        port.ifr_hwaddr.sa_data[0] = (char)0xfe;
        if (result == 0)
            result = ioctl(socket, SIOCSIFHWADDR, &port);
    }
    if (result == 0) {
        *step = @"Making it a port of the bridge";
        request.ifr_ifindex = (int)if_nametoindex(tap);
        result = ioctl(socket, SIOCBRADDIF, &request);
    }
    if (result == 0) {
        *step = @"Bringing it up";
        result = ioctl(socket, SIOCGIFFLAGS, &port);
        port.ifr_flags |= IFF_UP;
        if (result == 0)
            result = ioctl(socket, SIOCSIFFLAGS, &port);
    }
    int number = errno;
    close(socket);
    return result == 0 ? 0 : number;
}

/// nil with the errno of the step that failed.
static HostDescriptor *open_tap(NSString *bridge, int *number, NSString **step) {
    NSError *error = nil;
    *step = @"Opening /dev/net/tun";
    HostDescriptor *device = [HostDescriptor openPath:Device flags:O_RDWR | O_NONBLOCK error:&error];
    if (device == nil) {
        *number = (int)error.code;
        return nil;
    }
    // The kernel numbers it.
    struct ifreq request = {.ifr_name = "applevz%d"};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    *step = @"Making a tap device";
    *number = ioctl(device.number, TUNSETIFF, &request) != 0 ? errno : join(request.ifr_name, bridge, step);
    return *number == 0 ? device : nil;
}

/// What another program may do with more privileges.
static BOOL is_not_allowed(NSInteger number) {
    return number == EACCES || number == EPERM;
}

BOOL HostTapMayTakeHelper(NSError *error) {
    NSError *cause = error.userInfo[NSUnderlyingErrorKey];
    return [cause.domain isEqualToString:NSPOSIXErrorDomain] && is_not_allowed(cause.code);
}

HostDescriptor *HostOpenTap(NSString *bridge, BOOL askingHelper, NSError **error) {
    int number = 0;
    NSString *step = nil;
    HostDescriptor *tap = open_tap(bridge, &number, &step);
    if (tap != nil)
        return tap;
    NSString *reason = [NSString stringWithFormat:@"%@: %@", step, VZSystemCallErrorText(number)];
    if (askingHelper && is_not_allowed(number)) {
        NSString *words = HostBridgeHelperMissingReason();
        tap = words == nil ? HostBridgeHelperOpenTap(bridge, &words) : nil;
        if (tap != nil)
            return tap;
        reason = [reason stringByAppendingFormat:@", and %@", words];
    }
    VZRefuse(error,
             VZErrorWithReason(
                 VZErrorNetworkError, @"The network card could not be connected to the bridge.",
                 [NSString stringWithFormat:@"The bridge is %@. %@.", VZQuoted(bridge), reason],
                 @"Run this process with the privilege CAP_NET_ADMIN, or give it to qemu-bridge-helper and allow the "
                 @"bridge in /etc/qemu/bridge.conf.",
                 VZSystemCallError(number, nil)));
    return nil;
}

NSString *HostNameOfTap(HostDescriptor *tap) {
    struct ifreq request = {0};
    if (ioctl(tap.number, TUNGETIFF, &request) != 0)
        return nil;
    request.ifr_name[sizeof request.ifr_name - 1] = '\0';
    return [NSString stringWithUTF8String:request.ifr_name];
}
