/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_REDIS_H
#define BROKER_STORE_REDIS_H
/* store_redis: a store in Redis. One connection commits, a second one reads. */
#include "broker/store.h"
#include "common/mux.h"

struct store_redis;

struct store_redis_conf {
    const char *url;        /* redis.url */
    const char *prefix;     /* "pawl:{s0}:" */
    const char *name;       /* of this broker, for people: its endpoint */
    const char *durability; /* redis.durability; NULL: no demand */
    int replicas;           /* redis.replicas: how many must hold a commit before it is told */
};

/* What the server keeps, as it was when the lead was taken. */
struct store_report {
    const char *level; /* always, everysec, weak, none, unknown; NULL: never led */
    char lacks[256];   /* settings that lose jobs, or less than demanded; "" */
    char fix[256];     /* the command for it */
    bool unchecked;    /* CONFIG GET is not permitted: appendfsync is not known */
    int replicas;      /* connected, as last seen */
};

/* Nothing is connected yet. NULL: the address is malformed (err). Waits with timers of the mux. */
struct store_redis *store_redis_new(const struct store_redis_conf *conf, struct mux *mux,
                                    const struct store_events *events, struct err *err);
void store_redis_free(struct store_redis *s); /* NULL is fine; no callback comes any more */
struct store store_redis_ops(struct store_redis *s);
const struct store_report *store_redis_report(const struct store_redis *s);
const char *store_redis_shown(const struct store_redis *s); /* the address without its password */

/* Who leads, without taking part: fn is called after each look, several times a second, on the
 * loop. LEASE_HELD: what names the leader; LEASE_FREE: its lease ran out, or its process on this
 * machine is gone; LEASE_UNKNOWN: Redis is away, what says why. fn must not free the watch. */
enum lease_is { LEASE_UNKNOWN, LEASE_HELD, LEASE_FREE };
typedef void lease_fn(void *ctx, enum lease_is is, const char *what);
struct lease_watch;
struct lease_watch *lease_watch_new(struct store_redis *store, lease_fn *fn,
                                    void *ctx); /* NULL: no memory */
void lease_watch_free(struct lease_watch *w); /* NULL is fine; before its store */
#endif
