/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_LINK_H
#define PAWL_CLI_LINK_H
/* link: a client's connection to the broker. Greets it, and greets it again when it was restarted or
 * fell silent; asks and gets answers; keeps subscriptions going over both. Runs on a mux. */
#include "common/conf.h"
#include "common/js.h"
#include "common/msg.h"
#include "common/mux.h"
#include "common/peer.h"

struct link;

/* Where to connect: the endpoint, with a wildcard address as loopback. */
void link_endpoint(const struct conf *conf, char *out, size_t size);

/* Connect and start to greet. `mux` is borrowed. Does not wait. */
enum status link_new(struct link **out, struct mux *mux, const struct conf *conf,
                     struct err *err) MUST_USE;
void link_free(struct link *l);     /* says BYE; NULL is fine */
bool link_up(const struct link *l); /* greeted, and not silent for too long */
/* Called whenever link_up() changes. */
void link_on_change(struct link *l, void (*fn)(void *ctx, bool up), void *ctx);

/* Why the broker does not want us (denied, another protocol); NULL when it did not say so. */
const struct err *link_refusal(const struct link *l);
/* Why a broker that is there does not greet: it has lost its store. "" when that is not known. */
const char *link_trouble(const struct link *l);

/* The answer to a request. `in` holds the documents: frame 1 and on. On failure m is NULL and err
 * says why; after REFUSED busy, retry_ms says when to try again. */
struct link_reply {
    const struct msg *m;
    struct peer_in *in; /* may be taken: copy it and set frames to NULL, n to 0 */
    struct err *err;
    int64_t retry_ms;
};
typedef void link_fn(void *ctx, const struct link_reply *reply);
/* Ask. The link chooses m->…req. `again`: may be said twice (reading, idempotent), so a broker that
 * is restarted meanwhile is asked again. Frames are copied. fn is called exactly once, unless the
 * link is freed before. */
enum status link_ask(struct link *l, struct msg *m, const struct str *frames, uint32_t frames_n,
                     bool again, link_fn *fn, void *ctx) MUST_USE;

/* Events of a job ("" : all) from `since` on ("" : now, "0": the oldest kept), without gaps over
 * reconnections, until link_unwatch or link_free. */
struct link_event {
    const char *id, *kind, *job; /* id "" when it is not kept */
    int64_t at_ms;
    const json_t *facts;
};
typedef void link_event_fn(void *ctx, const struct link_event *ev);
enum status link_watch(struct link *l, const char *job, const char *since, link_event_fn *fn,
                       void *ctx) MUST_USE;
void link_unwatch(struct link *l, void *ctx); /* every subscription with this ctx */

/* Why a link is not up: what, and what to do about it. */
void talk_absent(const struct link *l, const struct conf *conf, struct err *err);

/* ---- for commands that ask one thing after another ---- */

struct talk {
    struct mux *mux;
    struct link *link;
    int64_t timeout_ms; /* for each answer; 0: as long as it takes */
    bool store_away;    /* talk_open() failed: the broker is there, its store is not */
    bool interrupted;   /* SIGINT or SIGTERM arrived */
    int signo;
    struct msg m; /* the last answer; its strings are valid until the next question */
    struct peer_in in;
    bool held;
    int64_t retry_ms;
};

/* Connect and be greeted. ERR_UNAVAILABLE says that `pawl up` starts a broker. `signals`: catch
 * SIGINT and SIGTERM (else they end the process as usual). */
enum status talk_open(struct talk *t, const struct conf *conf, int64_t timeout_ms, bool signals,
                      struct err *err) MUST_USE;
void talk_close(struct talk *t);
/* Ask and wait. The answer's header is t->m, its documents talk_frame(). */
enum status talk_ask(struct talk *t, struct msg *m, const struct str *frames, uint32_t frames_n,
                     bool again, struct err *err) MUST_USE;
struct str talk_frame(const struct talk *t, uint32_t i); /* i from 0: the first document */
/* The first document as a tree; maps of SHOW, LIST, WORKERS, STATUS. Caller owns it. */
enum status talk_map(struct talk *t, json_t **out, struct err *err) MUST_USE;
enum status talk_show(struct talk *t, const char *job, json_t **out, struct err *err) MUST_USE;
/* A document of a job; ERR_NOT_FOUND when there is none. */
struct doc_ref {
    const char *job, *name;
    int64_t run, round;
};
enum status talk_get(struct talk *t, struct doc_ref ref, json_t **out, struct err *err) MUST_USE;
/* One turn of the loop, at most wait_ms. ERR_CANCELLED when interrupted. */
enum status talk_turn(struct talk *t, int64_t wait_ms, struct err *err) MUST_USE;
#endif
