/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_FAKE_H
#define BROKER_STORE_FAKE_H
/* store_fake: the store in memory, the C twin of functions.lua, for tests and simulation. The same
 * batches leave the same content in both. Commits are answered at once, before commit() returns. */
#include "broker/store.h"

struct fake_cell { /* one fact: a string, a hash field, a member of a set, an event */
    char *key;     /* without the prefix */
    char *field;   /* "" for strings */
    struct buf value;
};

struct store_fake {
    struct fake_cell *cells; /* sorted by key, field */
    size_t n, cap;
    struct epoch epoch; /* of the leader */
    char holder[64];    /* "": nobody */
    uint64_t turn;
    char digest[17];
    int64_t now_ms; /* the wall clock that lead() sees */
    /* one broker's view */
    struct store_events events;
    const char *name; /* of that broker */
    struct epoch mine;
};

void store_fake_init(struct store_fake *f, const char *name, const struct store_events *events);
void store_fake_fini(struct store_fake *f);
struct store store_fake_ops(struct store_fake *f);
/* What functions.lua's commit does, for any epoch. err says why not. */
enum status store_fake_commit(struct store_fake *f, const struct epoch *epoch, uint64_t turn,
                              struct str batch, struct err *err) MUST_USE;
/* A value, NULL when absent. */
const struct buf *store_fake_get(const struct store_fake *f, const char *key, const char *field);
#endif
