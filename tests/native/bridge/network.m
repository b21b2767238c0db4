// SPDX-License-Identifier: Apache-2.0
// A network card that loses its attachment becomes an event. Here one is given an attachment that QEMU cannot give it.
//
// Arguments: a kernel.
#import "bridge_support.h"
#import <Virtualization/Virtualization.h>
#import <stdlib.h>
#import <sys/socket.h>
#import <unistd.h>

static applevz_machine *machine_create(const char *kernel) {
    applevz_configuration *configuration = configuration_create(kernel);
    applevz_network_device_attachment *network = NULL;
    applevz_machine *machine = NULL;
    SUCCEED(applevz_network_device_attachment_create_with_nat(true, false, &network));
    SUCCEED(applevz_configuration_add_virtio_network_device(configuration, network, NULL, 0));
    SUCCEED(applevz_machine_create(configuration, &machine));
    applevz_network_device_attachment_release(network);
    applevz_configuration_release(configuration);
    return machine;
}

static int other_end;

static bool is_connected(applevz_machine *machine) {
    applevz_network_device_attachment *attachment = NULL;
    SUCCEED(applevz_machine_network_device_attachment(machine, 0, &attachment));
    if (attachment != NULL)
        applevz_network_device_attachment_release(attachment);
    return attachment != NULL;
}

static applevz_network_device_attachment *attachment_create(void) {
    applevz_network_device_attachment *attachment = NULL;
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    SUCCEED(applevz_network_device_attachment_create_with_file_handle(ends[0], 0, &attachment));
    close(ends[0]);
    // The attachment's end stays connected to this one, which nobody needs.
    other_end = ends[1];
    return attachment;
}

static void lose_attachment(applevz_machine *machine) {
    applevz_network_device_attachment *attachment = NULL;
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(stream >= 0);
    SUCCEED(applevz_network_device_attachment_create_with_file_handle(stream, 0, &attachment));
    close(stream);
    CFErrorRef error = applevz_machine_set_network_device_attachment(machine, 0, attachment);
    CHECK(error != NULL && applevz_error_code(error) == APPLEVZ_ERROR_NETWORK_ERROR);
    CFRelease(error);
    applevz_network_device_attachment_release(attachment);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        applevz_machine *machine = machine_create(arguments[1]);
        CHECK(is_connected(machine));
        // Nothing is lost by what was asked for.
        SUCCEED(applevz_machine_connect_network_device(machine, 0, false));
        CHECK(!is_connected(machine));
        SUCCEED(applevz_machine_connect_network_device(machine, 0, true));
        CHECK(is_connected(machine));
        applevz_event event;
        SUCCEED(applevz_machine_next_event(machine, &event));
        CHECK(event.number == 0);

        applevz_network_device_attachment *attachment = attachment_create();
        SUCCEED(applevz_machine_set_network_device_attachment(machine, 0, attachment));
        applevz_network_device_attachment *present = NULL;
        SUCCEED(applevz_machine_network_device_attachment(machine, 0, &present));
        CHECK(present == attachment);
        applevz_network_device_attachment_release(present);
        applevz_network_device_attachment_release(attachment);
        SUCCEED(applevz_machine_next_event(machine, &event));
        CHECK(event.number == 0);

        lose_attachment(machine);
        CHECK(!is_connected(machine));
        SUCCEED(applevz_machine_next_event(machine, &event));
        CHECK(event.number == 1);
        CHECK(event.kind == APPLEVZ_EVENT_KIND_NETWORK_DISCONNECTED);
        CHECK(event.cause == APPLEVZ_EVENT_CAUSE_HOST);
        CHECK(event.state == APPLEVZ_MACHINE_STATE_STOPPED && event.state_before == event.state);
        CHECK(event.error != NULL && applevz_error_code(event.error) == APPLEVZ_ERROR_NETWORK_ERROR);
        CFRelease(event.error);
        SUCCEED(applevz_machine_connect_network_device(machine, 0, true));
        CHECK(is_connected(machine));

        present = NULL;
        CFErrorRef error = applevz_machine_network_device_attachment(machine, 1, &present);
        CHECK(present == NULL);
        CHECK(error != NULL);
        CFRelease(error);
        applevz_machine_release(machine);
        close(other_end);
    }
    return 0;
}
