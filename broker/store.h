/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H
/* store: where jobs survive. Two implementations with one behaviour: Redis (store_redis.c and
 * functions.lua) and memory (store_fake.c, for tests). A store accepts turn n of an epoch only
 * after turn n-1, checks a whole batch before it writes any of it, and tells by its answer that the
 * batch is durable. Commits are answered in order. */
#include "broker/effects.h"

/* A broker's incarnation as leader. */
struct epoch {
    uint64_t generation;  /* given by the store, grows */
    uint64_t incarnation; /* chosen by the broker, random */
};

struct store_events {
    void *ctx;
    /* The oldest commit in flight is durable (OK), or the store has refused it. After a refusal or
     * a loss the chain is broken: nothing more of this epoch can be committed. */
    void (*committed)(void *ctx, enum status st, const struct err *err);
    void (*lost)(void *ctx, const struct err *err);
    /* The leader's lease, renewed at sent_ms (monotonic), holds; may be NULL. */
    void (*renewed)(void *ctx, int64_t sent_ms);
};

enum get_kind {
    GET_FIELDS, /* id, names -> one value each, in order */
    GET_RECORD, /* id -> record (without its version) */
    GET_BLOB,   /* names[0] hex -> bytes */
    GET_HAS,    /* names[0] hex -> "1" or "0" */
    GET_PAGE,   /* names[0] index, names[1] cursor, limit -> cursor, id, record, id, record … */
    GET_NAMES,  /* id -> field, bytes as decimal, … */
    GET_EVENTS, /* names[0] after this event id ("": from the oldest), limit -> id, bytes, … */
    GET_OLDEST, /* -> id of the oldest event, or nothing */
    GET_INFO,   /* -> key, value, … : version run_id used_memory maxmemory */
};

struct store_get {
    enum get_kind kind;
    uint64_t id;
    const struct str *names;
    uint32_t names_n;
    uint32_t limit;
};

/* Values are valid during the call; absent ones have p NULL. */
typedef void store_get_fn(void *ctx, enum status st, const struct str *values, uint32_t n);
typedef enum status store_load_fn(void *ctx, struct str bytes, struct err *err);

struct store_ops {
    /* Connect if need be and take the lead: blocks for seconds at most. ERR_BUSY: another broker
     * leads (err names it). ERR_UNAVAILABLE: not there, loading, read-only, no memory…: try again.
     * ERR_CONFIG: it will never work. Everything in flight before is forgotten. */
    enum status (*lead)(void *self, struct epoch *epoch, struct err *err);
    /* Every pipeline (number 0: what is paused, halts.c), then every record; blocks. */
    enum status (*load)(void *self, store_load_fn *pipeline, store_load_fn *job, void *ctx,
                        struct err *err);
    /* Start to commit. The batch is copied. */
    enum status (*commit)(void *self, uint64_t turn, struct str batch);
    /* Read beside the commits. Not called back when it cannot be started. */
    enum status (*get)(void *self, const struct store_get *what, store_get_fn *fn, void *ctx);
    /* Keep the leader's lease alive; to be called every `STORE_RENEW_MS`. */
    void (*renew)(void *self);
    /* The same, and wait for the answer: does this broker still lead? ERR_DENIED: it does not.
     * For a broker that was not able to renew in time, before it says another word. */
    enum status (*confirm)(void *self, struct err *err);
    /* Give the lead back, blocking shortly; the end. */
    void (*resign)(void *self);
};

struct store {
    const struct store_ops *ops;
    void *self;
};

enum { STORE_LEASE_MS = 3000, STORE_RENEW_MS = 1000, VERSION_DIGITS = 10 };

/* ---- the batch: one list of operations, described in functions.lua. All bytes travel as strings:
 * the msgpack of Redis 7.0 knows no binary type. */
struct batch {
    struct buf ops; /* HEAD_BYTES for their number, then they */
    uint32_t n;
    int64_t now_ms;
    uint32_t events_max;
    struct epoch epoch;
    uint64_t *event_no; /* counter of the epoch's events */
    struct buf event;   /* the newest one */
    struct buf events;  /* that follow each other, not yet an operation */
    uint32_t events_n;
    uint64_t events_last; /* number of the newest */
};
enum { BATCH_MAX = 1 << 30, EVENT_ID_MAX = 48, EVENTS_OP_MAX = 64 };
struct told { /* an event of a batch, for those who watch */
    char id[EVENT_ID_MAX];
    struct str bytes; /* as kept */
};
void batch_init(struct batch *b, const struct epoch *epoch, uint64_t *event_no, int64_t now_ms,
                uint32_t events_max);
void batch_fini(struct batch *b);
void batch_clear(struct batch *b); /* empty, ready for the next; keeps memory of the usual size */
/* Add the operation of an effect; those that write nothing are passed over. FX_EVENT: told (may be
 * NULL) is what its followers hear; its bytes are the batch's, until the next event. */
void batch_add(struct batch *b, const struct fx *fx, struct told *told);
void batch_blob(struct batch *b, struct str hex, struct str bytes);
void batch_sweep(struct batch *b, int64_t before_ms);
void batch_pipeline(struct batch *b, uint64_t id, struct str bytes);
/* The whole list, head and operations: a view, until the batch changes. */
enum status batch_encode(struct batch *b, struct str *out) MUST_USE;
/* Sixteen hex digits of the bytes: tells an identical batch from another. */
void batch_digest(struct str bytes, char out[17]);
void version_text(uint64_t version, char out[VERSION_DIGITS + 1]); /* "" for 0 */

/* One event as it is kept: [kind, job id, project, at_ms, facts]. */
struct kept_event {
    struct str kind, job, project, facts;
    uint64_t at_ms;
};
bool event_decode(struct str bytes, struct kept_event *out);
/* Event ids are "generation-number"; order of two of them. An unparsable one comes first. */
int event_id_compare(struct str a, struct str b);
#endif
