// SPDX-License-Identifier: Apache-2.0
#include "pointer_table.h"

#include "runtime.h"
#include <stdlib.h>

#pragma GCC visibility push(hidden)

enum { smallest_capacity = 4 };

static size_t home(const struct pointer_table *table, const void *key) {
    // Fibonacci hashing: the low bits of addresses carry nothing.
    return (size_t)(((uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (table->capacity - 1);
}

static void place(struct pointer_table *table, void *key, void *value) {
    size_t index = home(table, key);
    while (table->pairs[index].key) {
        index = (index + 1) & (table->capacity - 1);
    }
    table->pairs[index] = (struct pointer_pair){key, value};
}

static void resize(struct pointer_table *table, size_t capacity) {
    struct pointer_table resized = {calloc(capacity, sizeof *resized.pairs), capacity, table->count};
    if (!resized.pairs) {
        runtime_fatal("out of memory while forming a weak reference");
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->pairs[i].key) {
            place(&resized, table->pairs[i].key, table->pairs[i].value);
        }
    }
    free(table->pairs);
    *table = resized;
}

void pointer_table_insert(struct pointer_table *table, void *key, void *value) {
    if (table->capacity == 0) {
        resize(table, smallest_capacity);
    } else if (table->count * 4 >= table->capacity * 3) {
        resize(table, table->capacity * 2);
    }
    place(table, key, value);
    table->count++;
}

struct pointer_pair *pointer_table_find(const struct pointer_table *table, const void *key) {
    if (table->count == 0) {
        return NULL;
    }
    for (size_t index = home(table, key); table->pairs[index].key; index = (index + 1) & (table->capacity - 1)) {
        if (table->pairs[index].key == key) {
            return &table->pairs[index];
        }
    }
    return NULL;
}

void pointer_table_remove(struct pointer_table *table, struct pointer_pair *pair) {
    size_t mask = table->capacity - 1;
    size_t hole = (size_t)(pair - table->pairs);
    // Move back every later pair of the same run that a search could no longer reach over the hole.
    for (size_t index = (hole + 1) & mask; table->pairs[index].key; index = (index + 1) & mask) {
        size_t wanted = home(table, table->pairs[index].key);
        if (((index - wanted) & mask) >= ((index - hole) & mask)) {
            table->pairs[hole] = table->pairs[index];
            hole = index;
        }
    }
    table->pairs[hole] = (struct pointer_pair){NULL, NULL};
    table->count--;
    if (table->count == 0) {
        pointer_table_clear(table);
    } else if (table->capacity > smallest_capacity && table->count * 8 < table->capacity) {
        resize(table, table->capacity / 2);
    }
}

void pointer_table_clear(struct pointer_table *table) {
    free(table->pairs);
    *table = (struct pointer_table){NULL, 0, 0};
}

#pragma GCC visibility pop
