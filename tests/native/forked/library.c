// SPDX-License-Identifier: Apache-2.0
// A library of the program that is copied: it wants to know of forks, as gnutls does, whose random numbers would be the
// same in each otherwise.
#include <pthread.h>

int prepared, in_parent, in_child;

static void prepare(void) {
    prepared++;
}

static void parent(void) {
    in_parent++;
}

static void child(void) {
    in_child++;
}

__attribute__((constructor)) static void load(void) {
    pthread_atfork(prepare, parent, child);
}
