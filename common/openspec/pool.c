/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/pool.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS_MIN = 16 };

enum status pool_status(const struct pool *p)
{
    return p->failed ? ERR_LIMIT : OK;
}

void *pool_alloc(struct pool *p, size_t n)
{
    void *v = p->failed ? NULL : arena_alloc(p->a, n);
    p->failed = !v;
    return v;
}

void *pool_grow(struct pool *p, void *items, size_t n, size_t *cap, size_t size)
{
    void *v = p->failed ? NULL : arena_grow(p->a, items, n, cap, size);
    p->failed = !v;
    return v;
}

struct str pool_copy(struct pool *p, struct str s)
{
    return pool_cat_n(p, &s, 1);
}

struct str pool_cat_n(struct pool *p, const struct str *parts, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += parts[i].n;
    char *out = p->failed ? NULL : arena_bytes(p->a, total + 1);
    p->failed = !out;
    if (!out)
        return (struct str){ 0 };
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0)
            memcpy(out + at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    out[total] = '\0';
    return (struct str){ out, total };
}

struct str pool_num(struct pool *p, size_t v)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%zu", v);
    return pool_copy(p, (struct str){ digits, (size_t)n });
}

struct str pool_take(struct pool *p, struct buf *b)
{
    p->failed = p->failed || b->status != OK;
    struct str s = p->failed ? (struct str){ 0 } : pool_copy(p, buf_get(b));
    buf_fini(b);
    return s;
}

/* FNV-1a with a final mix; names are short and the table is bounded by the input. */
uint64_t str_hash(struct str s)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    return h ^ h >> 32;
}

static struct map_entry *lookup(const struct map *m, struct str key, uint64_t hash)
{
    if (m->slots_n == 0)
        return NULL;
    for (size_t i = hash & (m->slots_n - 1);; i = (i + 1) & (m->slots_n - 1)) {
        if (m->slots[i] == 0)
            return NULL;
        struct map_entry *e = &m->at[m->slots[i] - 1];
        if (e->hash == hash && e->value && str_eq(e->key, key))
            return e;
    }
}

void *map_get(const struct map *m, struct str key)
{
    struct map_entry *e = lookup(m, key, str_hash(key));
    return e ? e->value : NULL;
}

static void place(struct map *m, size_t entry)
{
    size_t i = m->at[entry].hash & (m->slots_n - 1);
    while (m->slots[i] != 0)
        i = (i + 1) & (m->slots_n - 1);
    m->slots[i] = (uint32_t)(entry + 1);
}

static void widen(struct pool *p, struct map *m)
{
    if (2 * (m->n + 1) < m->slots_n)
        return;
    size_t n = m->slots_n ? 2 * m->slots_n : SLOTS_MIN;
    uint32_t *slots = n < UINT32_MAX ? pool_alloc(p, n * sizeof *slots) : NULL;
    p->failed = !slots;
    if (!slots)
        return;
    m->slots = slots;
    m->slots_n = n;
    for (size_t i = 0; i < m->n; i++)
        place(m, i);
}

void map_set(struct pool *p, struct map *m, struct str key, void *value)
{
    assert(value);
    uint64_t hash = str_hash(key);
    struct map_entry *e = lookup(m, key, hash);
    if (e) {
        e->value = value;
        return;
    }
    widen(p, m);
    if (p->failed)
        return;
    pool_push(p, m, (struct map_entry){ key, hash, value });
    if (!p->failed)
        place(m, m->n - 1);
}

/* The entry stays as a gravestone: it keeps the probe sequence whole. */
void map_delete(struct map *m, struct str key)
{
    struct map_entry *e = lookup(m, key, str_hash(key));
    if (e)
        e->value = NULL;
}

bool map_add(struct pool *p, struct map *m, struct str key)
{
    if (map_get(m, key))
        return false;
    map_set(p, m, key, m); /* any pointer says that it is there */
    return true;
}
