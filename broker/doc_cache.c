/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/doc_cache.h"

#include <stdlib.h>
#include <string.h>

static uint64_t place_of(uint64_t job, struct str field)
{
    uint64_t v = 0xcbf29ce484222325u ^ job;
    for (size_t i = 0; i < field.n; i++)
        v = (v ^ (unsigned char)field.p[i]) * 0x100000001b3u;
    return (v ^ v >> 29) & (DOC_CACHE_SLOTS - 1);
}

static struct str field_of(const struct cached_doc *d)
{
    return (struct str){ d->text, d->field_n };
}

static size_t size_of(const struct cached_doc *d)
{
    return sizeof *d + d->field_n + d->n;
}

struct cached_doc *cached_doc_new(uint64_t job, struct str field, struct str bytes)
{
    bool small = bytes.n <= DOC_CACHE_DOC_MAX;
    struct cached_doc *d = malloc(sizeof *d + field.n + (small ? bytes.n : 0));
    if (!d)
        return NULL;
    *d = (struct cached_doc){ .job = job, .field_n = field.n, .n = bytes.n, .small = small };
    memcpy(d->text, field.p, field.n);
    if (small && bytes.n)
        memcpy(d->text + field.n, bytes.p, bytes.n);
    if (!small)
        d->n = 0;
    return d;
}

static void drop(struct doc_cache *c, size_t at)
{
    if (!c->slots[at])
        return;
    c->bytes -= size_of(c->slots[at]);
    free(c->slots[at]);
    c->slots[at] = NULL;
}

void doc_cache_put(struct doc_cache *c, struct cached_doc *d)
{
    if (!c->slots && !(c->slots = calloc(DOC_CACHE_SLOTS, sizeof(struct cached_doc *)))) {
        free(d);
        return;
    }
    size_t at = place_of(d->job, field_of(d));
    drop(c, at); /* whatever was there, and an older one of this name */
    if (!d->small) {
        free(d);
        return;
    }
    c->slots[at] = d;
    c->bytes += size_of(d);
    while (c->bytes > DOC_CACHE_BYTES_MAX) {
        c->hand = (c->hand + 1) & (DOC_CACHE_SLOTS - 1);
        if (c->hand != at)
            drop(c, c->hand);
    }
}

bool doc_cache_get(const struct doc_cache *c, uint64_t job, struct str field, struct str *out)
{
    const struct cached_doc *d = c->slots ? c->slots[place_of(job, field)] : NULL;
    if (!d || d->job != job || d->field_n != field.n || memcmp(d->text, field.p, field.n) != 0)
        return false;
    *out = (struct str){ d->text + d->field_n, d->n };
    return true;
}

void doc_cache_clear(struct doc_cache *c)
{
    for (size_t i = 0; c->slots && i < DOC_CACHE_SLOTS; i++)
        free(c->slots[i]);
    free(c->slots);
    *c = (struct doc_cache){ 0 };
}
