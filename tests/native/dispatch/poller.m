// SPDX-License-Identifier: Apache-2.0
// Nothing is started before it is needed; then there is one poller thread, which runs what must run on a thread that
// lives as long as the process; no descriptor is inherited by programs that the host starts.
#include "dispatch_support.h"
#include <fcntl.h>

static int descriptors_at_start;

__attribute__((constructor)) static void count(void) {
    descriptors_at_start = entries_of("/proc/self/fd");
}

int main(void) {
    @autoreleasepool {
        dispatch_queue_t queue = dispatch_queue_create("q", NULL);
        dispatch_sync(queue, ^{
                      });
        CHECK(dispatch_thread_count() == 0, "a thread was started for nothing");
        CHECK(entries_of("/proc/self/fd") == descriptors_at_start, "a descriptor was opened for nothing");

        static pthread_t poller;
        dispatch_poller_perform_sync(^{
            poller = pthread_self();
        });
        CHECK(!pthread_equal(poller, pthread_self()));
        CHECK(dispatch_thread_count() == 1);
        CHECK(dispatch_poller_start() == 0);
        static int performed;
        on_threads(4, ^(int thread) {
            (void)thread;
            for (int i = 0; i < 200; i++) {
                dispatch_poller_perform_sync(^{
                    CHECK(pthread_equal(poller, pthread_self()));
                    // On the poller itself it must not wait for the poller.
                    dispatch_poller_perform_sync(^{
                        CHECK(pthread_equal(poller, pthread_self()));
                        performed++;
                    });
                });
            }
        });
        CHECK(performed == 800);
        dispatch_group_t group = dispatch_group_create();
        for (int i = 0; i < 50; i++) {
            dispatch_group_async(group, dispatch_get_global_queue(0, 0), ^{
                dispatch_poller_perform_sync(^{
                    performed++;
                });
            });
        }
        CHECK(dispatch_group_wait(group, PATIENCE) == 0);
        CHECK(performed == 850);
        for (int descriptor = 3; descriptor < 256; descriptor++) {
            char path[64];
            char target[64] = "";
            snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
            if (readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "anon_inode:", 11) == 0) {
                CHECK(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, "%s would be inherited", target);
            }
        }
        CHECK(!dispatch_poller_inherited());
    }
    return 0;
}
