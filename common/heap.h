/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_HEAP_H
#define PAWL_HEAP_H
/* heap: an intrusive binary heap. The element knows its slot, so removing needs no search. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_NONE UINT32_MAX /* slot of an element that is in no heap; initialise with it */

struct heap {
    void **items;
    uint32_t len, cap;
    bool (*before)(const void *a, const void *b);
    uint32_t *(*slot)(void *item); /* where the element keeps its slot */
};

void heap_init(struct heap *h, bool (*before)(const void *, const void *), uint32_t *(*slot)(void *));
void heap_fini(struct heap *h);
bool heap_put(struct heap *h, void *item);    /* insert, or re-sort if present; false: no memory */
void heap_remove(struct heap *h, void *item); /* fine when absent */
void *heap_top(const struct heap *h);         /* NULL when empty */
#endif
