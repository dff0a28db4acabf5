/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_REDIS_CONN_H
#define BROKER_REDIS_CONN_H
/* redis_conn: one connection to Redis on the loop. Commands are pipelined and answered in order.
 * Blocking calls are for the moments when there is nothing else to do: start and recovery. */
#include "broker/redis_url.h"
#include "common/buf.h"
#include "common/mux.h"

#include <hiredis/hiredis.h>

/* reply NULL: the connection is lost, ctx is forgotten after this. */
typedef void redis_fn(void *ctx, const redisReply *reply);

struct redis_conn;

struct redis_conn_events {
    void *ctx;
    void (*lost)(void *ctx, const char *why); /* after every pending fn was called with NULL */
};

/* Connect (at most 1.5 s), authenticate. NULL: err says why, ERR_UNAVAILABLE when it may come. */
struct redis_conn *redis_conn_open(const struct redis_url *url, struct err *err);
/* The same where nobody may be kept waiting: ms for connecting, and again for each answer. */
struct redis_conn *redis_conn_open_within(const struct redis_url *url, int ms, struct err *err);
void redis_conn_close(
    struct redis_conn *c); /* NULL is fine; pending functions are called with NULL */
/* Blocking, only before redis_conn_start(). NULL: connection failed (err). The caller frees. */
redisReply *redis_conn_ask(struct redis_conn *c, int argc, const struct str *argv, struct err *err);
/* The same for many: queue commands, then take as many replies, in order. Queueing cannot fail but
 * for memory. */
enum status redis_conn_queue(struct redis_conn *c, int argc, const struct str *argv) MUST_USE;
redisReply *redis_conn_next(struct redis_conn *c, struct err *err);
/* From now on asynchronous. */
enum status redis_conn_start(struct redis_conn *c, struct mux *mux,
                             const struct redis_conn_events *events) MUST_USE;
enum status redis_conn_send(struct redis_conn *c, int argc, const struct str *argv, redis_fn *fn,
                            void *ctx) MUST_USE;
uint32_t redis_conn_pending(const struct redis_conn *c);
/* How long the oldest command has waited, 0: nothing pending. */
int64_t redis_conn_waiting_ms(const struct redis_conn *c, int64_t now_ms);
#endif
