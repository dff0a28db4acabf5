/* SPDX-License-Identifier: Apache-2.0 */
#include "common/heap.h"

#include <assert.h>
#include <stdlib.h>

void heap_init(struct heap *h, bool (*before)(const void *, const void *), uint32_t *(*slot)(void *))
{
    *h = (struct heap){ .before = before, .slot = slot };
}

void heap_fini(struct heap *h)
{
    free(h->items);
    *h = (struct heap){ .before = h->before, .slot = h->slot };
}

static void place(struct heap *h, uint32_t slot, void *item)
{
    h->items[slot] = item;
    *h->slot(item) = slot;
}

static void sift(struct heap *h, uint32_t slot)
{
    void *item = h->items[slot];
    while (slot > 0 && h->before(item, h->items[(slot - 1) / 2])) {
        place(h, slot, h->items[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * slot + 1;
        if (child >= h->len)
            break;
        if (child + 1 < h->len && h->before(h->items[child + 1], h->items[child]))
            child++;
        if (!h->before(h->items[child], item))
            break;
        place(h, slot, h->items[child]);
        slot = child;
    }
    place(h, slot, item);
}

bool heap_put(struct heap *h, void *item)
{
    uint32_t slot = *h->slot(item);
    if (slot == HEAP_NONE) {
        if (h->len == h->cap) {
            uint32_t cap = h->cap ? h->cap * 2 : 16;
            void **items = realloc(h->items, cap * sizeof *items);
            if (!items)
                return false;
            h->items = items;
            h->cap = cap;
        }
        slot = h->len++;
        place(h, slot, item);
    }
    assert(slot < h->len && h->items[slot] == item);
    sift(h, slot);
    return true;
}

void heap_remove(struct heap *h, void *item)
{
    uint32_t slot = *h->slot(item);
    if (slot == HEAP_NONE)
        return;
    assert(slot < h->len && h->items[slot] == item);
    void *last = h->items[--h->len];
    if (last != item) {
        place(h, slot, last);
        sift(h, slot);
    }
    *h->slot(item) = HEAP_NONE;
}

void *heap_top(const struct heap *h)
{
    return h->len ? h->items[0] : NULL;
}
