/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/prefix.h"

#include <assert.h>
#include <stdlib.h>

enum { ID_BITS = 60, BITS_LEAST = 6, BITS_MOST = 20 }; /* four characters of five bits */

static void **head_of(const struct prefixes *t, uint64_t id)
{
    return &t->heads[id >> (ID_BITS - t->bits)];
}

static void **alike_of(void *item)
{
    return item_is_cold(item) ? &item_cold(item)->alike : &((struct job *)item)->alike;
}

static void link_in(struct prefixes *t, void *item)
{
    void **head = head_of(t, item_id(item));
    *alike_of(item) = *head;
    *head = item;
}

static bool grow(struct prefixes *t)
{
    struct prefixes wider = { .bits = t->bits ? t->bits + 1 : BITS_LEAST, .len = t->len };
    wider.heads = calloc((size_t)1 << wider.bits, sizeof *wider.heads);
    if (!wider.heads)
        return false;
    for (size_t i = 0; t->bits && i < (size_t)1 << t->bits; i++) {
        for (void *item = t->heads[i], *next; item; item = next) {
            next = *alike_of(item);
            link_in(&wider, item);
        }
    }
    free(t->heads);
    *t = wider;
    return true;
}

bool prefix_put(struct prefixes *t, void *item)
{
    assert(item_id(item) >> ID_BITS == 0);
    if ((t->bits == 0 || (t->len >> t->bits && t->bits < BITS_MOST)) && !grow(t))
        return false;
    link_in(t, item);
    t->len++;
    return true;
}

static void **place_of(struct prefixes *t, const void *item)
{
    void **at = head_of(t, item_id(item));
    while (*at != item)
        at = alike_of(*at);
    return at;
}

void prefix_remove(struct prefixes *t, void *item)
{
    *place_of(t, item) = *alike_of(item);
    *alike_of(item) = NULL;
    t->len--;
}

void prefix_change(struct prefixes *t, void *from, void *to)
{
    *alike_of(to) = *alike_of(from);
    *place_of(t, from) = to;
}

void *prefix_chain(const struct prefixes *t, uint64_t first_of_id)
{
    return t->bits ? *head_of(t, first_of_id) : NULL;
}

void *prefix_next(void *item)
{
    return *alike_of(item);
}

void prefix_fini(struct prefixes *t)
{
    free(t->heads);
    *t = (struct prefixes){ 0 };
}
