// SPDX-License-Identifier: Apache-2.0
// A hash table from pointer to pointer, for the weak references: open addressing, no deletion marks. Not locked.
#ifndef APPLEVZ_RUNTIME_POINTER_TABLE_H
#define APPLEVZ_RUNTIME_POINTER_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

struct pointer_pair {
    void *key; // NULL: unused
    void *value;
};

// All zero is an empty table.
struct pointer_table {
    struct pointer_pair *pairs;
    size_t capacity; // 0 or a power of two
    size_t count;
};

void pointer_table_insert(struct pointer_table *table, void *key, void *value); // the key is not in it
struct pointer_pair *pointer_table_find(const struct pointer_table *table, const void *key);
void pointer_table_remove(struct pointer_table *table, struct pointer_pair *pair);
void pointer_table_clear(struct pointer_table *table);

#pragma GCC visibility pop
#endif
