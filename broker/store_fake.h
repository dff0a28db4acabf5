/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_FAKE_H
#define BROKER_STORE_FAKE_H
/* store_fake: the store in memory, the C twin of functions.lua, for tests and simulation. The same
 * batches leave the same content in both. Commits are answered at once, before commit() returns. */
#include "broker/store.h"

struct fake_cell { /* one fact: a string, a hash field, a member of a set, an event */
    char *field;   /* "" for strings */
    struct buf value;
};

struct fake_key {
    char *name; /* without the prefix */
    uint64_t hash;
    bool events;             /* its fields are event ids */
    bool alien;              /* as if it were of another type than its name says */
    struct fake_cell *cells; /* sorted by field */
    size_t n, cap;
};

/* value.p NULL: the cell is gone. */
typedef void store_fake_fn(void *ctx, const char *key, const char *field, struct str value);

struct store_fake {
    struct fake_key **keys; /* hash table, NULL: free */
    size_t cap, len;
    store_fake_fn *changed; /* told of every change; may be NULL */
    void *changed_ctx;
    struct epoch epoch; /* of the leader */
    char holder[64];    /* "": nobody */
    uint64_t turn;
    char digest[17];
    int64_t now_ms;  /* the wall clock that lead() sees */
    char denied[12]; /* letters of the operations that its user may not write */
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
/* Plant a key of a wrong type, or take it away; what the key held is kept meanwhile. */
void store_fake_alien(struct store_fake *f, const char *key, bool alien);
/* What functions.lua's lead does, for any broker; the epoch's generation is filled in. */
enum status store_fake_lead(struct store_fake *f, const char *name, struct epoch *epoch,
                            struct err *err) MUST_USE;
/* As in store_ops, whoever asks. */
enum status store_fake_load(const struct store_fake *f, store_load_fn *pipeline, store_load_fn *job,
                            void *ctx, struct err *err) MUST_USE;
enum status store_fake_read(const struct store_fake *f, const struct store_get *g, store_get_fn *fn,
                            void *ctx) MUST_USE;
/* Every cell, in no particular order. */
void store_fake_each(const struct store_fake *f, store_fake_fn *fn, void *ctx);
/* Content and leadership of one store into an empty other one. */
void store_fake_copy(struct store_fake *to, const struct store_fake *from);
/* A value, NULL when absent. */
const struct buf *store_fake_get(const struct store_fake *f, const char *key, const char *field);

/* store_shape.c: the shape of an operation (NULL: there is none of this letter); has it that shape? */
const char *op_shape(char kind);
bool op_fits(struct str raw, const char *shape);
#endif
