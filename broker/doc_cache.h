/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_DOC_CACHE_H
#define BROKER_DOC_CACHE_H
/* doc_cache: small documents that have just become durable, so that the stage that follows gets them
 * without a read from the store. Bounded: a new one takes the place of another. What is in here is
 * what the store holds as long as this broker leads; it is emptied when it does not. */
#include "common/buf.h"

#include <stdbool.h>

enum { DOC_CACHE_SLOTS = 8192, DOC_CACHE_DOC_MAX = 4096, DOC_CACHE_BYTES_MAX = 8 << 20 };

struct cached_doc {
    struct cached_doc *next; /* of its turn, before it is durable */
    uint64_t job;
    size_t field_n, n;
    bool small;  /* a large one only drives out what had its name */
    char text[]; /* field, bytes */
};

struct doc_cache {
    struct cached_doc **slots; /* NULL: empty */
    size_t bytes, hand;
};

struct cached_doc *cached_doc_new(uint64_t job, struct str field, struct str bytes); /* NULL: OOM */
void doc_cache_put(struct doc_cache *c, struct cached_doc *d);                       /* takes d */
/* out is a view until the next put. */
bool doc_cache_get(const struct doc_cache *c, uint64_t job, struct str field, struct str *out);
void doc_cache_clear(struct doc_cache *c);
#endif
