// SPDX-License-Identifier: Apache-2.0
// The C interface to a machine's sockets, over a scripted QEMU and Unix sockets in place of the kernel's vhost_vsock,
// which this host need not have: see unix_transport.h.
//
// Arguments: a kernel.
#import "bridge_support.h"
#import "../unix_transport.h"
#import <stdlib.h>
#import <unistd.h>

static int64_t result_of(applevz_operation *operation, int line) {
    CHECK(applevz_operation_wait(operation, 60) == APPLEVZ_WAIT_COMPLETED);
    succeed(applevz_operation_copy_error(operation), line);
    int64_t value = applevz_operation_take_value(operation);
    applevz_operation_release(operation);
    return value;
}
#define RESULT(operation) result_of((operation), __LINE__)

static int64_t code_of(CFErrorRef error) {
    CHECK(error != NULL);
    int64_t code = applevz_error_code(error);
    CFRelease(error);
    return code;
}

static applevz_machine *machine_create(const char *kernel) {
    applevz_configuration *configuration = configuration_create(kernel);
    applevz_machine *machine = NULL;
    SUCCEED(applevz_configuration_add_virtio_socket_device(configuration));
    SUCCEED(applevz_machine_create(configuration, &machine));
    applevz_configuration_release(configuration);
    return machine;
}

static applevz_operation *connecting(applevz_machine *machine) {
    applevz_operation *operation = NULL;
    SUCCEED(applevz_machine_socket_connect(machine, 0, 80, &operation));
    return operation;
}

static void talk(int ours, int theirs) {
    char bytes[8] = {0};
    CHECK(write(ours, "hello", 5) == 5 && read(theirs, bytes, sizeof bytes) == 5);
    CHECK(shutdown(ours, SHUT_WR) == 0 && read(theirs, bytes, sizeof bytes) == 0);
    CHECK(write(theirs, "bye", 3) == 3 && read(ours, bytes, sizeof bytes) == 3);
    close(ours);
    close(theirs);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        QEMUSocketTransport.current = [[UnixTransport alloc] init];
        applevz_machine *machine = machine_create(arguments[1]);
        applevz_operation *operation = NULL;
        size_t devices = 0;
        SUCCEED(applevz_machine_socket_device_count(machine, &devices));
        CHECK(devices == 1);

        // A stopped machine has no guest; a port can be listened to before there is one, and by one at a time.
        operation = connecting(machine);
        CHECK(applevz_operation_wait(operation, 60) == APPLEVZ_WAIT_COMPLETED);
        CHECK(code_of(applevz_operation_copy_error(operation)) == APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE);
        applevz_operation_release(operation);
        applevz_socket_listener *listener = NULL, *second = NULL;
        SUCCEED(applevz_machine_socket_listen(machine, 0, 99, &listener));
        CHECK(code_of(applevz_machine_socket_listen(machine, 0, 99, &second)) == APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT);
        CHECK(code_of(applevz_machine_socket_listen(machine, 1, 98, &second)) == APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT);
        int taken = -1;
        SUCCEED(applevz_socket_listener_take(listener, &taken));
        CHECK(taken == -1);

        SUCCEED(applevz_machine_start(machine, &operation));
        RESULT(operation);
        // What listens too late is waited for.
        operation = connecting(machine);
        CHECK(applevz_operation_wait(operation, 0.05) == APPLEVZ_WAIT_TIMED_OUT);
        int listening = guest_listens(UNIX_GUEST, 80);
        int ours = (int)RESULT(operation);
        talk(ours, accept(listening, NULL, NULL));
        // One that is given up leaves nothing, also where it would have been connected.
        close(listening);
        applevz_operation_release(connecting(machine));

        operation = NULL;
        SUCCEED(applevz_socket_listener_wait(listener, &operation));
        CHECK(applevz_operation_wait(operation, 0.05) == APPLEVZ_WAIT_TIMED_OUT);
        int caller = guest_connects(UNIX_GUEST, 1000, 99);
        RESULT(operation);
        SUCCEED(applevz_socket_listener_take(listener, &taken));
        talk(taken, caller);

        // It stays over a discard, and closing it wakes who waits.
        SUCCEED(applevz_machine_discard(machine, &operation));
        RESULT(operation);
        SUCCEED(applevz_machine_start(machine, &operation));
        RESULT(operation);
        caller = guest_connects(UNIX_GUEST, 1001, 99);
        SUCCEED(applevz_socket_listener_wait(listener, &operation));
        RESULT(operation);
        SUCCEED(applevz_socket_listener_take(listener, &taken));
        talk(taken, caller);
        SUCCEED(applevz_socket_listener_wait(listener, &operation));
        SUCCEED(applevz_socket_listener_close(listener));
        SUCCEED(applevz_socket_listener_close(listener));
        CHECK(applevz_operation_wait(operation, 60) == APPLEVZ_WAIT_COMPLETED);
        CHECK(code_of(applevz_operation_copy_error(operation)) == APPLEVZ_BRIDGE_ERROR_INVALID_STATE);
        applevz_operation_release(operation);
        SUCCEED(applevz_machine_socket_listen(machine, 0, 99, &second));
        applevz_socket_listener_release(listener);
        // One that is let go without a word is closed, too.
        applevz_socket_listener_release(second);
        // Its socket is closed on another queue.
        for (int i = 0; (caller = guest_connects(UNIX_GUEST, 1002, 99)) >= 0 && i < 60000; i++) {
            close(caller);
            usleep(1000);
        }
        CHECK(caller == -1);

        operation = connecting(machine);
        applevz_machine_release(machine);
        CHECK(applevz_operation_wait(operation, 60) == APPLEVZ_WAIT_COMPLETED);
        CHECK(code_of(applevz_operation_copy_error(operation)) == APPLEVZ_ERROR_OPERATION_CANCELLED);
        applevz_operation_release(operation);
    }
    return 0;
}
