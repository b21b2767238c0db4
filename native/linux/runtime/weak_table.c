// SPDX-License-Identifier: Apache-2.0
#include "weak_table.h"

#include "pointer_table.h"
#include <pthread.h>
#include <stdlib.h>

#pragma GCC visibility push(hidden)

// What is known of one object that weak references point to.
struct referent {
    struct pointer_table locations; // the variables, as keys
    enum reference_kind kind;
};

struct weak_stripe {
    pthread_mutex_t lock;
    struct pointer_table referents; // by object
    size_t referent_count;          // that of the table, to be read without the lock
} __attribute__((aligned(64)));

enum { stripe_count = 64 };
static struct weak_stripe stripes[stripe_count];

struct weak_stripe *weak_stripe_of(id object) {
    uintptr_t address = (uintptr_t)object;
    return &stripes[((address >> 4) ^ (address >> 10)) % stripe_count];
}

// Two stripes are locked in the order of their addresses.
void lock_weak_stripes(struct weak_stripe *first, struct weak_stripe *second) {
    if (second < first) {
        struct weak_stripe *lower = second;
        second = first;
        first = lower;
    }
    pthread_mutex_lock(&first->lock);
    if (second != first) {
        pthread_mutex_lock(&second->lock);
    }
}

void unlock_weak_stripes(struct weak_stripe *first, struct weak_stripe *second) {
    pthread_mutex_unlock(&first->lock);
    if (second != first) {
        pthread_mutex_unlock(&second->lock);
    }
}

static void publish_count(struct weak_stripe *stripe) {
    __atomic_store_n(&stripe->referent_count, stripe->referents.count, __ATOMIC_RELAXED);
}

void add_weak_location(struct weak_stripe *stripe, id object, id *location, enum reference_kind kind) {
    struct pointer_pair *pair = pointer_table_find(&stripe->referents, object);
    struct referent *referent = pair ? pair->value : NULL;
    if (!referent) {
        referent = calloc(1, sizeof *referent);
        if (!referent) {
            runtime_fatal("out of memory while forming a weak reference");
        }
        referent->kind = kind;
        pointer_table_insert(&stripe->referents, object, referent);
        publish_count(stripe);
    }
    pointer_table_insert(&referent->locations, location, NULL);
}

static void remove_referent(struct weak_stripe *stripe, struct pointer_pair *pair) {
    struct referent *referent = pair->value;
    pointer_table_remove(&stripe->referents, pair);
    publish_count(stripe);
    pointer_table_clear(&referent->locations);
    free(referent);
}

void remove_weak_location(struct weak_stripe *stripe, id object, id *location) {
    struct pointer_pair *pair = pointer_table_find(&stripe->referents, object);
    if (!pair) {
        return; // an immortal object
    }
    struct referent *referent = pair->value;
    struct pointer_pair *entry = pointer_table_find(&referent->locations, location);
    if (entry) {
        pointer_table_remove(&referent->locations, entry);
    }
    if (referent->locations.count == 0) {
        remove_referent(stripe, pair);
    }
}

enum reference_kind weak_reference_kind(struct weak_stripe *stripe, id object) {
    struct pointer_pair *pair = object ? pointer_table_find(&stripe->referents, object) : NULL;
    return pair ? ((struct referent *)pair->value)->kind : kind_immortal;
}

void zero_weak_locations(id object) {
    struct weak_stripe *stripe = weak_stripe_of(object);
    if (__atomic_load_n(&stripe->referent_count, __ATOMIC_RELAXED) == 0) {
        return;
    }
    pthread_mutex_lock(&stripe->lock);
    struct pointer_pair *pair = pointer_table_find(&stripe->referents, object);
    if (pair) {
        struct pointer_table *locations = &((struct referent *)pair->value)->locations;
        for (size_t i = 0; i < locations->capacity; i++) {
            if (locations->pairs[i].key) {
                write_location(locations->pairs[i].key, nil);
            }
        }
        remove_referent(stripe, pair);
    }
    pthread_mutex_unlock(&stripe->lock);
}

// A child of fork() has only the thread that forked: no other may hold a stripe then.
static void lock_all(void) {
    for (int i = 0; i < stripe_count; i++) {
        pthread_mutex_lock(&stripes[i].lock);
    }
}

static void unlock_all(void) {
    for (int i = 0; i < stripe_count; i++) {
        pthread_mutex_unlock(&stripes[i].lock);
    }
}

void weak_table_start(void) {
    for (int i = 0; i < stripe_count; i++) {
        pthread_mutex_init(&stripes[i].lock, NULL);
    }
    pthread_atfork(lock_all, unlock_all, unlock_all);
}

#pragma GCC visibility pop
