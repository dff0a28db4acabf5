/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STORE_REDIS_IN_H
#define BROKER_STORE_REDIS_IN_H
/* store_redis_in: what the two files of the store in Redis share. */
#include "broker/redis_conn.h"
#include "broker/store_redis.h"

enum { HOLDER_MAX = 512, NAME_SIZE = 32, KEY_SIZE = 160 };

/* What the server said of itself when the lead was taken. */
struct redis_server {
    char run_id[48], replid[48];
    int major, replicas; /* connected ones */
    bool replica, cluster, aof;
    char fsync[16], on_rewrite[8]; /* "": CONFIG GET is not permitted */
    char policy[32];
};

/* Commits under `redis.replicas`: how many were sent, are covered by a WAIT, were told. */
struct held {
    uint64_t sent, covered, told;
    bool asked;   /* a WAIT is on its way */
    bool refused; /* the chain is broken, and that was told */
};

struct store_redis {
    struct redis_url asked; /* as configured */
    struct redis_url url;   /* the node in use */
    char durability[16];    /* auto, always, everysec */
    int replicas;           /* that must hold a commit */
    bool has_led;
    struct redis_server server;
    struct store_report report;
    struct held held;
    char prefix[64];
    char holder[HOLDER_MAX];
    char hash[13]; /* of the function library */
    struct mux *mux;
    struct store_events events;
    struct redis_conn *writer, *reader;
    struct epoch epoch;
    struct mux_timer watch; /* answers that do not come */
    int64_t extended_ms;    /* when the lease was last known to begin anew, while loading */
    int64_t renewing_ms;    /* a renewal sent then is not answered yet; 0: none */
};

void store_key(const struct store_redis *s, char out[KEY_SIZE], const char *what, const char *name);
void store_function(const struct store_redis *s, char out[NAME_SIZE], const char *what);
bool store_holder_dead(const struct store_redis *s, const char *holder);
void store_holder_shown(const char *holder, char out[256]);
void u64_text(char out[21], uint64_t v);
/* store_ops.get, on the second connection */
enum status store_redis_get(void *self, const struct store_get *what, store_get_fn *fn, void *ctx);
/* The status of an error reply, with its text and fix. */
enum status store_reply_status(const struct store_redis *s, const char *text, struct err *err);

/* ---- store_server.c ---- */

/* Connect the writer to the primary: asks the sentinels, follows a cluster, reads INFO. */
enum status store_reach(struct store_redis *s, struct err *err);
/* Does it keep what redis.durability demands? Fills s->report. */
enum status store_check_settings(struct store_redis *s, struct err *err);
enum status store_check_replicas(struct store_redis *s, struct err *err);
/* After the first write of an epoch: wait until the replicas hold it, and all before it. */
enum status store_settle(struct store_redis *s, struct err *err);
/* A commit was sent. It is told when the replicas hold it. */
enum status store_sent(struct store_redis *s);
/* A commit was answered. Is that to be told now? */
bool store_answered(struct store_redis *s, enum status st);
/* INFO, every now and then: another server, another history or a replica is a loss. */
void store_compare_server(struct store_redis *s, const char *info);
/* Ask the writer, blocking. NULL: not answered, or with an error (err). The caller frees. */
redisReply *store_ask(struct store_redis *s, int argc, const struct str *argv, struct err *err);
#endif
