/* SPDX-License-Identifier: Apache-2.0 */
/* lease_watch: who leads, looked up again and again on a connection of its own. It takes nothing. */
#include "broker/redis_find.h"
#include "broker/store_redis_in.h"
#include "common/failpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 300, ANSWER_MS = 2000 };

struct lease_watch {
    struct store_redis *store;
    struct redis_conn *conn; /* NULL: Redis is away */
    bool moved;              /* a cluster named another node; it is in store->url */
    struct mux_timer look;
    lease_fn *fn;
    void *ctx;
};

static void away(struct lease_watch *w, const char *why)
{
    struct redis_conn *conn = w->conn;
    w->conn = NULL;
    redis_conn_close(conn);
    w->fn(w->ctx, LEASE_UNKNOWN, why);
}

static void on_lost(void *ctx, const char *why)
{
    struct lease_watch *w = ctx;
    char text[512];
    snprintf(text, sizeof text, "Redis at %s: %.160s", store_redis_shown(w->store), why);
    away(w, text);
}

static void on_holder(void *ctx, const redisReply *r)
{
    struct lease_watch *w = ctx;
    char who[256];
    if (!r)
        return; /* lost: told by on_lost */
    failpoint(AT_watch_answered);
    if (r->type == REDIS_REPLY_STRING && !store_holder_dead(w->store, r->str)) {
        store_holder_shown(r->str, who);
        w->fn(w->ctx, LEASE_HELD, who);
    } else if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_NIL) {
        w->fn(w->ctx, LEASE_FREE, "");
    } else if (r->type == REDIS_REPLY_ERROR && redis_url_moved(&w->store->url, r->str)) {
        w->moved = true;
    } else {
        snprintf(who, sizeof who, "Redis: %.200s", r->type == REDIS_REPLY_ERROR ? r->str : "?");
        w->fn(w->ctx, LEASE_UNKNOWN, who);
    }
    failpoint(AT_watch_taken);
}

/* One question at a time. */
static enum status ask_holder(struct lease_watch *w)
{
    char key[KEY_SIZE];
    store_key(w->store, key, "lock", "");
    struct str argv[] = { str_of("GET"), str_of(key) };
    failpoint(AT_watch_before);
    enum status st = redis_conn_send(w->conn, COUNT(argv), argv, on_holder, w);
    failpoint(AT_watch_sent);
    return st;
}

static void connect_it(struct lease_watch *w)
{
    struct redis_conn_events events = { w, on_lost };
    struct err err = { 0 };
    if (w->moved || redis_find(&w->store->asked, &w->store->url, &err) == OK)
        w->conn = redis_conn_open(&w->store->url, &err);
    w->moved = false;
    if (!w->conn)
        w->fn(w->ctx, LEASE_UNKNOWN, err.text);
    else if (redis_conn_start(w->conn, w->store->mux, &events) != OK)
        away(w, "the loop cannot watch the connection to Redis");
}

static void look(void *ctx)
{
    struct lease_watch *w = ctx;
    mux_timer_in(w->store->mux, &w->look, LOOK_MS);
    if (w->moved) {
        redis_conn_close(w->conn);
        w->conn = NULL;
    }
    if (!w->conn)
        connect_it(w);
    if (!w->conn)
        return;
    int64_t waiting = redis_conn_waiting_ms(w->conn, mono_now().ms);
    if (waiting > ANSWER_MS)
        on_lost(w, "it does not answer");
    else if (!waiting && ask_holder(w) == ERR_NOMEM)
        on_lost(w, "out of memory");
}

struct lease_watch *lease_watch_new(struct store_redis *store, lease_fn *fn, void *ctx)
{
    struct lease_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct lease_watch){ .store = store, .fn = fn, .ctx = ctx };
    w->look = MUX_TIMER(look, w);
    mux_timer_in(store->mux, &w->look, 0);
    return w;
}

void lease_watch_free(struct lease_watch *w)
{
    if (!w)
        return;
    mux_timer_stop(w->store->mux, &w->look);
    redis_conn_close(w->conn);
    free(w);
}
