// SPDX-License-Identifier: Apache-2.0
// READ and WRITE sources: level-triggered, never twice at a time, closed safely in the cancel handler.
#include "dispatch_support.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

static dispatch_source_t watch(dispatch_source_type_t type, int descriptor, dispatch_queue_t queue,
                               void (^handler)(dispatch_source_t source)) {
    dispatch_source_t source = dispatch_source_create(type, (uintptr_t)descriptor, 0, queue);
    CHECK(source != nil);
    __weak dispatch_source_t weak = source;
    dispatch_source_set_event_handler(source, ^{
        handler(weak);
    });
    return source;
}

static void cancel_and_close(dispatch_source_t source) {
    dispatch_semaphore_t closed = dispatch_semaphore_create(0);
    int descriptor = (int)dispatch_source_get_handle(source);
    dispatch_source_set_cancel_handler(source, ^{
        CHECK(close(descriptor) == 0);
        dispatch_semaphore_signal(closed);
    });
    dispatch_source_cancel(source);
    AWAIT(closed);
}

static void unread_bytes_call_again(void) {
    struct descriptors ends = new_pipe(O_CLOEXEC);
    dispatch_semaphore_t all = dispatch_semaphore_create(0);
    dispatch_semaphore_t end_of_file = dispatch_semaphore_create(0);
    static char text[16];
    static size_t length;
    static bool ended;
    dispatch_source_t source =
        watch(DISPATCH_SOURCE_TYPE_READ, ends.first, dispatch_queue_create("reader", NULL), ^(dispatch_source_t self) {
            uintptr_t available = dispatch_source_get_data(self);
            if (available == 0) {
                if (!ended) {
                    ended = true;
                    dispatch_semaphore_signal(end_of_file);
                }
                return;
            }
            CHECK(available == 10 - length, "%lu", (unsigned long)available);
            // One byte at a time: what is left must call again.
            CHECK(read(ends.first, &text[length++], 1) == 1);
            if (length == 10) {
                dispatch_semaphore_signal(all);
            }
        });
    CHECK(dispatch_source_get_mask(source) == 0);
    CHECK(write(ends.second, "0123456789", 10) == 10);
    dispatch_resume(source);
    AWAIT(all);
    CHECK(memcmp(text, "0123456789", 10) == 0);
    close(ends.second);
    AWAIT(end_of_file);
    cancel_and_close(source);
}

static void a_handler_is_not_entered_twice(void) {
    struct descriptors ends = new_pipe(O_CLOEXEC);
    static int inside;
    dispatch_semaphore_t enough = dispatch_semaphore_create(0);
    __block int count = 0;
    // On a concurrent queue nothing but the source itself keeps two invocations apart.
    dispatch_source_t source =
        watch(DISPATCH_SOURCE_TYPE_READ, ends.first, dispatch_get_global_queue(0, 0), ^(dispatch_source_t self) {
            (void)self;
            CHECK(__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) == 1);
            usleep(500);
            __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
            if (++count == 20) {
                dispatch_semaphore_signal(enough);
            }
        });
    dispatch_resume(source);
    CHECK(write(ends.second, "x", 1) == 1);
    AWAIT(enough);
    cancel_and_close(source);
    close(ends.second);
}

static void suspended_it_is_silent(void) {
    struct descriptors ends = new_pipe(O_CLOEXEC);
    dispatch_semaphore_t called = dispatch_semaphore_create(0);
    dispatch_source_t source = watch(DISPATCH_SOURCE_TYPE_READ, ends.first, nil, ^(dispatch_source_t self) {
        (void)self;
        dispatch_semaphore_signal(called);
        char byte;
        CHECK(read(ends.first, &byte, 1) == 1);
    });
    dispatch_resume(source);
    dispatch_suspend(source);
    CHECK(write(ends.second, "ab", 2) == 2);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(called, DISPATCH_TIME_NOW) != 0);
    // Read by somebody else meanwhile: a handler called for it would block.
    char bytes[2];
    CHECK(read(ends.first, bytes, 2) == 2);
    dispatch_resume(source);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(called, DISPATCH_TIME_NOW) != 0, "called for bytes that are gone");
    CHECK(write(ends.second, "c", 1) == 1);
    AWAIT(called);
    cancel_and_close(source);
    close(ends.second);
}

static void two_sources_share_a_descriptor(void) {
    struct descriptors ends = new_socket_pair();
    int descriptors = entries_of("/proc/self/fd");
    dispatch_semaphore_t readable = dispatch_semaphore_create(0);
    dispatch_semaphore_t writable = dispatch_semaphore_create(0);
    dispatch_source_t reader = watch(DISPATCH_SOURCE_TYPE_READ, ends.first, nil, ^(dispatch_source_t self) {
        char bytes[16];
        CHECK(dispatch_source_get_data(self) == 5);
        CHECK(read(ends.first, bytes, sizeof bytes) == 5);
        dispatch_semaphore_signal(readable);
    });
    dispatch_source_t writer = watch(DISPATCH_SOURCE_TYPE_WRITE, ends.first, nil, ^(dispatch_source_t self) {
        CHECK(dispatch_source_get_data(self) > 0);
        dispatch_source_cancel(self);
        dispatch_semaphore_signal(writable);
    });
    dispatch_resume(reader);
    dispatch_resume(writer);
    AWAIT(writable);
    CHECK(write(ends.second, "hello", 5) == 5);
    AWAIT(readable);
    cancel_and_close(reader);
    close(ends.second);
    CHECK(entries_of("/proc/self/fd") == descriptors - 2, "a duplicate was left open");
}

static void a_full_pipe_is_not_writable(void) {
    struct descriptors ends = new_pipe(O_CLOEXEC | O_NONBLOCK);
    char page[4096] = {0};
    while (write(ends.second, page, sizeof page) > 0) {
    }
    dispatch_semaphore_t writable = dispatch_semaphore_create(0);
    dispatch_source_t source = watch(DISPATCH_SOURCE_TYPE_WRITE, ends.second, nil, ^(dispatch_source_t self) {
        dispatch_source_cancel(self);
    });
    dispatch_source_set_cancel_handler(source, ^{
        dispatch_semaphore_signal(writable);
    });
    dispatch_resume(source);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(writable, DISPATCH_TIME_NOW) != 0);
    for (int i = 0; i < 16; i++) {
        CHECK(read(ends.first, page, sizeof page) == sizeof page);
    }
    AWAIT(writable);
    close(ends.first);
    close(ends.second);
}

static void a_regular_file_is_always_readable(void) {
    FILE *file = tmpfile();
    fputs("1234567", file);
    rewind(file);
    int descriptor = dup(fileno(file));
    dispatch_semaphore_t at_end = dispatch_semaphore_create(0);
    dispatch_source_t source =
        watch(DISPATCH_SOURCE_TYPE_READ, descriptor, dispatch_queue_create("file", NULL), ^(dispatch_source_t self) {
            char byte;
            uintptr_t left = dispatch_source_get_data(self);
            CHECK(read(descriptor, &byte, 1) == (left > 0));
            if (left == 0) {
                dispatch_source_cancel(self);
            }
        });
    dispatch_source_set_cancel_handler(source, ^{
        dispatch_semaphore_signal(at_end);
    });
    dispatch_resume(source);
    AWAIT(at_end);
    close(descriptor);
    fclose(file);
}

static void descriptors_are_closed_and_reused_under_load(void) {
    static int served;
    on_threads(3, ^(int thread) {
        (void)thread;
        for (int i = 0; i < 200; i++) {
            struct descriptors ends = new_pipe(O_CLOEXEC);
            int read_end = ends.first;
            dispatch_semaphore_t called = dispatch_semaphore_create(0);
            @autoreleasepool {
                __block bool cancelled = false;
                dispatch_source_t source = watch(DISPATCH_SOURCE_TYPE_READ, read_end, nil, ^(dispatch_source_t self) {
                    char byte;
                    CHECK(!cancelled, "called after the cancel handler");
                    CHECK(read(read_end, &byte, 1) == 1 && byte == 'x', "bytes of another descriptor");
                    dispatch_source_cancel(self);
                    dispatch_semaphore_signal(called);
                });
                dispatch_semaphore_t closed = dispatch_semaphore_create(0);
                dispatch_source_set_cancel_handler(source, ^{
                    cancelled = true;
                    close(read_end);
                    dispatch_semaphore_signal(closed);
                });
                dispatch_resume(source);
                CHECK(write(ends.second, "xx", 2) == 2);
                AWAIT(called);
                AWAIT(closed);
                close(ends.second);
                __atomic_fetch_add(&served, 1, __ATOMIC_SEQ_CST);
            }
        }
    });
    CHECK(served == 600);
}

static void what_is_no_descriptor_is_refused(void) {
    errno = 0;
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, 987654, 0, nil) == nil && errno == EBADF);
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)-1, 0, nil) == nil && errno == EBADF);
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_WRITE, 0, 7, nil) == nil && errno == EINVAL);
}

static void registration_comes_first(void) {
    struct descriptors ends = new_pipe(O_CLOEXEC);
    CHECK(write(ends.second, "x", 1) == 1);
    dispatch_semaphore_t called = dispatch_semaphore_create(0);
    __block int registrations = 0;
    dispatch_source_t source = watch(DISPATCH_SOURCE_TYPE_READ, ends.first, nil, ^(dispatch_source_t self) {
        CHECK(registrations == 1);
        dispatch_source_cancel(self);
        dispatch_semaphore_signal(called);
    });
    dispatch_source_set_registration_handler(source, ^{
        registrations++;
    });
    dispatch_activate(source);
    AWAIT(called);
    close(ends.first);
    close(ends.second);
}

int main(void) {
    @autoreleasepool {
        unread_bytes_call_again();
        a_handler_is_not_entered_twice();
        suspended_it_is_silent();
        two_sources_share_a_descriptor();
        a_full_pipe_is_not_writable();
        a_regular_file_is_always_readable();
        descriptors_are_closed_and_reused_under_load();
        what_is_no_descriptor_is_refused();
        registration_comes_first();
    }
    return 0;
}
