// SPDX-License-Identifier: Apache-2.0
// dispatch_once runs its block once, and who comes meanwhile waits for it to be done.
#include "dispatch_support.h"

enum { ROUNDS = 200 };
static dispatch_once_t predicates[ROUNDS];
static int values[ROUNDS];

int main(void) {
    for (int round = 0; round < ROUNDS; round++) {
        dispatch_once_t *predicate = &predicates[round];
        int *value = &values[round];
        on_threads(4, ^(int thread) {
            (void)thread;
            dispatch_once(predicate, ^{
                if (round % 20 == 0) {
                    usleep(1000);
                }
                ++*value;
            });
            CHECK(*value == 1, "round %d: %d", round, *value);
        });
    }
    return 0;
}
