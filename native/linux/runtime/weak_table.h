// SPDX-License-Identifier: Apache-2.0
// Which variables refer weakly to which object: a hash table cut in stripes by the object's address, each with its
// lock.
#ifndef APPLEVZ_RUNTIME_WEAK_TABLE_H
#define APPLEVZ_RUNTIME_WEAK_TABLE_H

#include "runtime.h"

#pragma GCC visibility push(hidden)

enum reference_kind { kind_immortal, kind_counted, kind_block, kind_unsupported };

struct weak_stripe;
struct weak_stripe *weak_stripe_of(id object);

// The two may be the same one.
void lock_weak_stripes(struct weak_stripe *first, struct weak_stripe *second);
void unlock_weak_stripes(struct weak_stripe *first, struct weak_stripe *second);

// Under the lock of the object's stripe. An object that nothing in the table refers to is an immortal one.
enum reference_kind weak_reference_kind(struct weak_stripe *stripe, id object);
void add_weak_location(struct weak_stripe *stripe, id object, id *location, enum reference_kind kind);
void remove_weak_location(struct weak_stripe *stripe, id object, id *location);

// Without a lock: every variable that refers to the object becomes nil.
void zero_weak_locations(id object);

void weak_table_start(void);

static inline id read_location(id *location) {
    return __atomic_load_n(location, __ATOMIC_ACQUIRE);
}

static inline void write_location(id *location, id value) {
    __atomic_store_n(location, value, __ATOMIC_RELEASE);
}

#pragma GCC visibility pop
#endif
