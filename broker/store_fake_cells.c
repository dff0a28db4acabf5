/* SPDX-License-Identifier: Apache-2.0 */
/* store_fake_cells: keys and their cells, in memory. */
#include "broker/store_fake_in.h"

static uint64_t hash_name(const char *z)
{
    uint64_t v = 0xcbf29ce484222325u;
    for (; *z; z++)
        v = (v ^ (unsigned char)*z) * 0x100000001b3u;
    return v ^ v >> 32;
}

static bool grow_keys(struct store_fake *f)
{
    size_t cap = f->cap ? f->cap * 2 : 256;
    struct fake_key **wider = calloc(cap, sizeof *wider);
    if (!wider)
        return false;
    for (size_t i = 0; i < f->cap; i++) {
        if (!f->keys[i])
            continue;
        size_t at = f->keys[i]->hash & (cap - 1);
        while (wider[at])
            at = (at + 1) & (cap - 1);
        wider[at] = f->keys[i];
    }
    free(f->keys);
    f->keys = wider;
    f->cap = cap;
    return true;
}

/* A key that lost its last cell stays, empty: it is as good as absent. */
struct fake_key *fake_find(struct store_fake *f, const char *name, bool make)
{
    if (make && (f->len + 1) * 2 > f->cap && !grow_keys(f))
        abort();
    uint64_t hash = hash_name(name);
    size_t at = f->cap ? hash & (f->cap - 1) : 0;
    while (f->cap && f->keys[at]) {
        if (f->keys[at]->hash == hash && strcmp(f->keys[at]->name, name) == 0)
            return f->keys[at];
        at = (at + 1) & (f->cap - 1);
    }
    if (!make)
        return NULL;
    struct fake_key *k = calloc(1, sizeof *k);
    assert(k);
    *k = (struct fake_key){ .name = strdup(name), .hash = hash, .events = strcmp(name, "e") == 0 };
    assert(k->name);
    f->keys[at] = k;
    f->len++;
    return k;
}

const struct fake_key *fake_look(const struct store_fake *f, const char *name)
{
    return fake_find((struct store_fake *)(uintptr_t)f, name, false); /* changes nothing */
}

/* Event ids are ordered by their numbers, everything else by its bytes. */
int fake_compare(const struct fake_key *k, const char *a, const char *b)
{
    if (!k->events)
        return strcmp(a, b);
    char *rest_a, *rest_b;
    uint64_t x = strtoull(a, &rest_a, 10), y = strtoull(b, &rest_b, 10);
    if (x == y && *rest_a && *rest_b) {
        x = strtoull(rest_a + 1, NULL, 10);
        y = strtoull(rest_b + 1, NULL, 10);
    }
    return x == y ? 0 : x > y ? 1 : -1;
}

/* The first cell that does not come before the field. What is new mostly comes last. */
static size_t place(const struct fake_key *k, const char *field, bool *found)
{
    size_t low = 0, high = k->n;
    *found = false;
    if (k->n && fake_compare(k, k->cells[k->n - 1].field, field) < 0)
        return k->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (fake_compare(k, k->cells[mid].field, field) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < k->n && fake_compare(k, k->cells[low].field, field) == 0;
    return low;
}

const struct buf *store_fake_get(const struct store_fake *f, const char *key, const char *field)
{
    bool found;
    const struct fake_key *k = fake_look(f, key);
    size_t at = k ? place(k, field, &found) : 0;
    return k && found ? &k->cells[at].value : NULL;
}

static void changed(struct store_fake *f, const char *key, const char *field, struct str value)
{
    if (f->changed)
        f->changed(f->changed_ctx, key, field, value);
}

void fake_set(struct store_fake *f, const char *key, const char *field, struct str value)
{
    bool found;
    struct fake_key *k = fake_find(f, key, true);
    size_t at = place(k, field, &found);
    if (!found) {
        if (k->n == k->cap) {
            k->cap = k->cap ? k->cap * 2 : 4;
            k->cells = realloc(k->cells, k->cap * sizeof *k->cells);
            assert(k->cells);
        }
        memmove(k->cells + at + 1, k->cells + at, (k->n - at) * sizeof *k->cells);
        k->n++;
        k->cells[at] = (struct fake_cell){ strdup(field), { 0 } };
        assert(k->cells[at].field);
        buf_init(&k->cells[at].value, BATCH_MAX);
    }
    buf_clear(&k->cells[at].value);
    buf_view(&k->cells[at].value, value);
    changed(f, key, field, (struct str){ value.p ? value.p : "", value.n });
}

void fake_unset_at(struct store_fake *f, struct fake_key *k, size_t at)
{
    struct fake_cell gone = k->cells[at];
    memmove(k->cells + at, k->cells + at + 1, (k->n - at - 1) * sizeof *k->cells);
    k->n--;
    changed(f, k->name, gone.field, (struct str){ 0 });
    free(gone.field);
    buf_fini(&gone.value);
}

void fake_unset(struct store_fake *f, const char *key, const char *field)
{
    bool found;
    struct fake_key *k = fake_find(f, key, false);
    size_t at = k ? place(k, field, &found) : 0;
    if (k && found)
        fake_unset_at(f, k, at);
}

void fake_unset_all(struct store_fake *f, const char *key)
{
    struct fake_key *k = fake_find(f, key, false);
    while (k && k->n)
        fake_unset_at(f, k, k->n - 1);
}

bool fake_there(const struct store_fake *f, const char *key)
{
    const struct fake_key *k = fake_look(f, key);
    return k && (k->n || k->alien);
}

void fake_text(char *to, size_t size, struct str s)
{
    snprintf(to, size, "%.*s", STR_ARG(s));
}

void store_fake_alien(struct store_fake *f, const char *key, bool alien)
{
    fake_find(f, key, true)->alien = alien;
}

void store_fake_each(const struct store_fake *f, store_fake_fn *fn, void *ctx)
{
    for (size_t i = 0; i < f->cap; i++) {
        const struct fake_key *k = f->keys[i];
        for (size_t at = 0; k && at < k->n; at++)
            fn(ctx, k->name, k->cells[at].field, buf_get(&k->cells[at].value));
    }
}

static void copy_cell(void *ctx, const char *key, const char *field, struct str value)
{
    fake_set(ctx, key, field, value);
}

void store_fake_copy(struct store_fake *to, const struct store_fake *from)
{
    store_fake_each(from, copy_cell, to);
    to->epoch = from->epoch;
    to->turn = from->turn;
    memcpy(to->holder, from->holder, sizeof to->holder);
    memcpy(to->digest, from->digest, sizeof to->digest);
}
