/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/idmap.h"

#include <assert.h>
#include <stdlib.h>

static size_t home(const struct idmap *m, uint64_t id)
{
    return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & (m->cap - 1);
}

void idmap_fini(struct idmap *m)
{
    free(m->slots);
    *m = (struct idmap){ 0 };
}

void *idmap_get(const struct idmap *m, uint64_t id)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = home(m, id); m->slots[i].id; i = (i + 1) & (m->cap - 1)) {
        if (m->slots[i].id == id)
            return m->slots[i].item;
    }
    return NULL;
}

static bool grow(struct idmap *m)
{
    struct idmap wider = { .cap = m->cap ? m->cap * 2 : 64 };
    wider.slots = calloc(wider.cap, sizeof *wider.slots);
    if (!wider.slots)
        return false;
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].id)
            idmap_put(&wider, m->slots[i].id, m->slots[i].item);
    }
    free(m->slots);
    *m = wider;
    return true;
}

bool idmap_put(struct idmap *m, uint64_t id, void *item)
{
    assert(id != 0 && item);
    if ((m->len + 1) * 4 > m->cap * 3 && !grow(m))
        return false;
    size_t i = home(m, id);
    while (m->slots[i].id && m->slots[i].id != id)
        i = (i + 1) & (m->cap - 1);
    m->len += m->slots[i].id == 0;
    m->slots[i] = (struct idmap_slot){ id, item };
    return true;
}

void idmap_change(struct idmap *m, uint64_t id, void *item)
{
    size_t i = home(m, id);
    assert(item);
    while (m->slots[i].id != id)
        i = (i + 1) & (m->cap - 1);
    m->slots[i].item = item;
}

/* Close the gap: entries behind it move up unless they are at home between gap and entry. */
void idmap_remove(struct idmap *m, uint64_t id)
{
    if (!idmap_get(m, id))
        return;
    size_t mask = m->cap - 1, gap = home(m, id);
    while (m->slots[gap].id != id)
        gap = (gap + 1) & mask;
    for (size_t i = (gap + 1) & mask; m->slots[i].id; i = (i + 1) & mask) {
        size_t away = (i - home(m, m->slots[i].id)) & mask;
        if (away < ((i - gap) & mask))
            continue;
        m->slots[gap] = m->slots[i];
        gap = i;
    }
    m->slots[gap] = (struct idmap_slot){ 0 };
    m->len--;
}

void *idmap_next(const struct idmap *m, size_t *at)
{
    while (*at < m->cap) {
        struct idmap_slot *s = &m->slots[(*at)++];
        if (s->id)
            return s->item;
    }
    return NULL;
}
