// SPDX-License-Identifier: Apache-2.0
#include "timer_heap.h"

#include <stdlib.h>

#include "../process_state.h"

static void place(struct timer_heap *heap, size_t index, struct timer *timer) {
    heap->timers[index] = timer;
    timer->position = index + 1;
}

/// Puts the timer where it belongs, starting from a free place.
static void settle(struct timer_heap *heap, size_t index, struct timer *timer) {
    while (index > 0 && timer->deadline < heap->timers[(index - 1) / 2]->deadline) {
        place(heap, index, heap->timers[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (size_t child; (child = 2 * index + 1) < heap->count; index = child) {
        if (child + 1 < heap->count && heap->timers[child + 1]->deadline < heap->timers[child]->deadline) {
            child++;
        }
        if (timer->deadline <= heap->timers[child]->deadline) {
            break;
        }
        place(heap, index, heap->timers[child]);
    }
    place(heap, index, timer);
}

void timer_heap_insert(struct timer_heap *heap, struct timer *timer) {
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? 2 * heap->capacity : 16;
        heap->timers = realloc(heap->timers, heap->capacity * sizeof *heap->timers);
        if (!heap->timers) {
            dispatch_fail("dispatch_after", "out of memory");
        }
    }
    heap->count++;
    settle(heap, heap->count - 1, timer);
}

void timer_heap_remove(struct timer_heap *heap, struct timer *timer) {
    size_t index = timer->position - 1;
    struct timer *last = heap->timers[--heap->count];
    timer->position = 0;
    if (last != timer) {
        settle(heap, index, last);
    }
}
