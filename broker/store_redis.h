/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_REDIS_H
#define BROKER_STORE_REDIS_H
/* store_redis: a store in Redis. One connection commits, a second one reads. */
#include "broker/store.h"
#include "common/mux.h"

struct store_redis;

struct store_redis_conf {
    const char *url;    /* redis.url */
    const char *prefix; /* "pawl:{s0}:" */
    const char *name;   /* of this broker, for people: its endpoint */
};

/* Nothing is connected yet. NULL: the address is malformed (err). Waits with timers of the mux. */
struct store_redis *store_redis_new(const struct store_redis_conf *conf, struct mux *mux,
                                    const struct store_events *events, struct err *err);
void store_redis_free(struct store_redis *s); /* NULL is fine; no callback comes any more */
struct store store_redis_ops(struct store_redis *s);
const char *store_redis_shown(const struct store_redis *s); /* the address without its password */
#endif
