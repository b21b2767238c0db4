// SPDX-License-Identifier: Apache-2.0
// Machines used through the C interface by several threads at once, as a Python program with threads does, on a
// scripted QEMU (APPLEVZ_QEMU): verbs, waits that are given up, handles released while something is under way. At the
// end every handle was released and every error destroyed exactly once.
//
// Arguments: a kernel, the number of threads, the number of rounds of each.
#import "bridge_support.h"
#import <pthread.h>
#import <stdlib.h>
#import <unistd.h>

static const char *kernel;
static int rounds;

static void refused(CFErrorRef error, int64_t code, int line) {
    if (error == NULL || applevz_error_code(error) != code) {
        fprintf(stderr, "line %d: expected code %lld\n", line, (long long)code);
        exit(1);
    }
    CFRelease(error);
}
#define REFUSED(call, code) refused((call), (code), __LINE__)

static applevz_machine *machine_create(void) {
    applevz_configuration *configuration = configuration_create(kernel);
    applevz_serial_port_attachment *port = NULL;
    applevz_machine *machine = NULL;
    int ends[2];
    CHECK(pipe(ends) == 0);
    SUCCEED(applevz_serial_port_attachment_create_with_file_handles(ends[0], ends[1], &port));
    close(ends[0]);
    close(ends[1]);
    SUCCEED(applevz_configuration_add_virtio_console_device_serial_port(configuration, port));
    SUCCEED(applevz_configuration_add_virtio_entropy_device(configuration));
    SUCCEED(applevz_machine_create(configuration, &machine));
    applevz_serial_port_attachment_release(port);
    applevz_configuration_release(configuration);
    return machine;
}

/// Reads what may be read from any thread, until told to stop, while another thread drives the machine.
typedef struct {
    applevz_machine *machine;
    _Atomic(bool) stop;
} watch;

static void *watch_machine(void *argument) {
    watch *watched = argument;
    while (!watched->stop) {
        uint32_t verbs = 0;
        CHECK(applevz_machine_state(watched->machine) <= APPLEVZ_MACHINE_STATE_RESTORING);
        SUCCEED(applevz_machine_accepted_verbs(watched->machine, &verbs));
        CFErrorRef error = applevz_machine_copy_stop_error(watched->machine);
        if (error != NULL)
            CFRelease(error);
        // A wait that is given up: nothing is left of it.
        applevz_operation *operation = NULL;
        SUCCEED(applevz_machine_wait_for_state(watched->machine, 1U << APPLEVZ_MACHINE_STATE_SAVING, &operation));
        CHECK(applevz_operation_wait(operation, 0.001) == APPLEVZ_WAIT_TIMED_OUT);
        applevz_operation_release(operation);
    }
    return NULL;
}

static void live_once(void) {
    applevz_machine *machine = machine_create();
    watch watched = {.machine = machine};
    pthread_t watcher;
    CHECK(pthread_create(&watcher, NULL, watch_machine, &watched) == 0);
    REFUSED(perform(applevz_machine_pause, machine), APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE_TRANSITION);
    SUCCEED(perform(applevz_machine_start, machine));
    CHECK(applevz_machine_state(machine) == APPLEVZ_MACHINE_STATE_RUNNING);
    SUCCEED(perform(applevz_machine_pause, machine));
    REFUSED(perform(applevz_machine_request_stop, machine), APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE);
    SUCCEED(perform(applevz_machine_resume, machine));
    SUCCEED(perform(applevz_machine_request_stop, machine));
    SUCCEED(perform(applevz_machine_stop, machine));
    SUCCEED(perform(applevz_machine_start, machine));
    // Under way when the machine is left for another.
    applevz_operation *pausing = NULL;
    SUCCEED(applevz_machine_pause(machine, &pausing));
    SUCCEED(perform(applevz_machine_discard, machine));
    CFErrorRef error = error_of(pausing);
    if (error != NULL)
        CFRelease(error);
    CHECK(applevz_machine_state(machine) == APPLEVZ_MACHINE_STATE_STOPPED);
    watched.stop = true;
    CHECK(pthread_join(watcher, NULL) == 0);
    // Released while it starts: the operation outlives the machine and completes.
    applevz_operation *starting = NULL;
    SUCCEED(applevz_machine_start(machine, &starting));
    applevz_machine_release(machine);
    error = error_of(starting);
    if (error != NULL)
        CFRelease(error);
}

static void *live(void *unused) {
    (void)unused;
    for (int i = 0; i < rounds; i++)
        live_once();
    return NULL;
}

int main(int count, char **arguments) {
    CHECK(count == 4);
    kernel = arguments[1];
    int thread_count = atoi(arguments[2]);
    rounds = atoi(arguments[3]);
    // The runtime's own lock, under which a class is set up when it is first used, is one that no sanitizer sees: what
    // one thread then made, as Foundation's small numbers, would look unguarded to the next.
    @autoreleasepool {
        CHECK(@(thread_count).intValue == thread_count);
    }
    pthread_t *threads = calloc((size_t)thread_count, sizeof *threads);
    for (int i = 0; i < thread_count; i++)
        CHECK(pthread_create(&threads[i], NULL, live, NULL) == 0);
    for (int i = 0; i < thread_count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    free(threads);

    CHECK(applevz_debug_live_handles() == 0);
    // A machine's queue may still hold the last reference to an error that was its operation's, but not to one of
    // these.
    uint64_t handed_over, destroyed;
    CHECK(applevz_debug_error_counts(&handed_over, &destroyed));
    CHECK(handed_over > 0);
    CHECK(handed_over == destroyed);
    return 0;
}
