/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/timer.h"

#include <assert.h>

static bool before(const void *a, const void *b)
{
    return ((const struct timer *)a)->at_ms < ((const struct timer *)b)->at_ms;
}

static uint32_t *slot(void *t)
{
    return &((struct timer *)t)->slot;
}

void timer_heap_init(struct heap *h)
{
    heap_init(h, before, slot);
}

void timer_set(struct heap *h, struct timer *t, enum timer_kind kind, int64_t at_ms)
{
    assert(t->owner);
    t->at_ms = at_ms;
    t->kind = kind;
    bool put = heap_put(h, t);
    assert(put); /* a lost deadline would be a job that hangs for ever */
    (void)put;
}

void timer_stop(struct heap *h, struct timer *t)
{
    heap_remove(h, t);
}
