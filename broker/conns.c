/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void conns_room(struct broker *b)
{
    struct rlimit files;
    char allowed[32];
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max >= FILES_GOOD)
        return;
    snprintf(allowed, sizeof allowed, "%llu", (unsigned long long)files.rlim_max);
    log_line(&b->log, LOG_WARN, "few open files are allowed: each connection needs one", "files",
             allowed, "fix", "raise the limit (LimitNOFILE= of systemd, ulimit -Hn)", NULL);
}

struct conn *conn_find(const struct broker *b, uint64_t id)
{
    return idmap_get(&b->conns_by_id, id);
}

struct conn *conn_of(struct broker *b, const struct peer_in *in)
{
    uint64_t hash = hash_prefix(in->from);
    struct conn *head = idmap_get(&b->conns_by_hash, hash);
    for (struct conn *c = head; c; c = c->chain) {
        if (c->routing_n == in->from.n && memcmp(c->routing, in->from.p, in->from.n) == 0) {
            memcpy(c->role, in->role, sizeof c->role);
            memcpy(c->key, in->key, sizeof c->key);
            return c;
        }
    }
    struct conn *c = b->conns_by_id.len < CONNS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->id = ++b->conn_no;
    c->routing_n = in->from.n;
    memcpy(c->routing, in->from.p, in->from.n);
    memcpy(c->role, in->role, sizeof c->role);
    memcpy(c->key, in->key, sizeof c->key);
    c->chain = head;
    if (!idmap_put(&b->conns_by_hash, hash, c) || !idmap_put(&b->conns_by_id, c->id, c)) {
        if (head && !idmap_put(&b->conns_by_hash, hash, head))
            b->broken = true; /* replacing a present key never needs memory */
        free(c);
        return NULL;
    }
    return c;
}

void conn_forget(struct broker *b, uint64_t id)
{
    struct conn *c = conn_find(b, id);
    if (!c)
        return;
    uint64_t hash = hash_prefix((struct str){ c->routing, c->routing_n });
    struct conn *head = idmap_get(&b->conns_by_hash, hash);
    if (head == c && !c->chain) {
        idmap_remove(&b->conns_by_hash, hash);
    } else if (head == c) {
        if (!idmap_put(&b->conns_by_hash, hash, c->chain))
            return; /* cannot be: the key is present */
    } else {
        while (head->chain != c)
            head = head->chain;
        head->chain = c->chain;
    }
    idmap_remove(&b->conns_by_id, id);
    watch_conn_gone(b, id);
    free(c->died);
    free(c);
}

/* Numbers first: the callbacks change the map. */
static uint64_t *all_ids(const struct broker *b, size_t *n)
{
    uint64_t *ids = calloc(b->conns_by_id.len + 1, sizeof *ids);
    size_t at = 0;
    struct conn *c;
    *n = 0;
    while (ids && (c = idmap_next(&b->conns_by_id, &at)) != NULL)
        ids[(*n)++] = c->id;
    return ids;
}

void conn_tasks(struct broker *b, uint64_t id, int more)
{
    struct conn *c = conn_find(b, id);
    if (!c)
        return;
    c->tasks = (uint32_t)((int)c->tasks + more);
    b->some_gone = b->some_gone || (c->gone && c->tasks == 0);
}

void conns_no_tasks(struct broker *b)
{
    struct conn *c;
    size_t at = 0;
    while ((c = idmap_next(&b->conns_by_id, &at)) != NULL) {
        c->tasks = 0;
        b->some_gone = b->some_gone || c->gone;
    }
}

/* Is there a TASK for it in the turn that is being made? */
static bool task_now(const struct broker *b, uint64_t id)
{
    for (uint32_t i = 0; i < b->fx.n; i++) {
        if (b->fx.v[i].kind == FX_TASK && b->fx.v[i].peer == id)
            return true;
    }
    return false;
}

void conns_died(struct broker *b, const struct conn *c, const struct msg_HELLO *m)
{
    size_t n;
    uint64_t *ids = all_ids(b, &n);
    for (size_t i = 0; i < n; i++) {
        struct conn *old = conn_find(b, ids[i]);
        if (!old || old == c || !old->worker || !str_is(m->before, old->name) ||
            strcmp(old->role, c->role) != 0)
            continue;
        free(old->died);
        old->died = strndup(m->died.p ? m->died.p : "", m->died.n);
        old->gone = b->some_gone = true;
    }
    free(ids);
}

void conns_bury(struct broker *b)
{
    size_t n;
    if (!b->some_gone)
        return;
    b->some_gone = false;
    uint64_t *ids = all_ids(b, &n);
    for (size_t i = 0; i < n; i++) {
        struct conn *c = conn_find(b, ids[i]);
        struct event ev = broker_event(b, EV_GONE);
        ev.peer = ids[i];
        if (!c || !c->gone || c->tasks)
            continue;
        ev.died = str_of(c->died);
        if (task_now(b, c->id)) {
            b->some_gone = true; /* in the next turn */
            continue;
        }
        if (b->core && !b->broken && core_peer_known(b->core, c->id))
            broker_step(b, &ev); /* the core's FX_GONE forgets it */
        else
            conn_forget(b, c->id);
    }
    free(ids);
}

static void probe(struct broker *b, struct conn *c)
{
    struct msg m = { .type = MSG_PONG };
    int64_t silent = b->now_ms - c->heard_ms;
    bool known = b->core && core_peer_known(b->core, c->id);
    if (silent > PROBE_MS && (known || silent > 4 * PROBE_MS))
        loop_say(b, c->id, &m, NULL, 0); /* libzmq knows at once when a connection is gone */
}

void conns_sweep(struct broker *b)
{
    size_t n;
    uint64_t *ids = all_ids(b, &n);
    for (size_t i = 0; i < n; i++) {
        struct conn *c = conn_find(b, ids[i]);
        if (c)
            probe(b, c);
        bool known = c && b->core && core_peer_known(b->core, c->id);
        if (c && b->core && !known && b->now_ms - c->heard_ms > 2 * b->core_conf.silence_ms)
            conn_forget(b, c->id);
    }
    free(ids);
}

/* Clients need not notice: their HELLO is known. Workers must say what they hold. */
static void greet(struct broker *b, struct conn *c)
{
    if (c->worker) {
        loop_refuse(b, c->id, 0, ERR_PROTOCOL, "the broker has a new epoch: say HELLO", "");
    } else if (c->client) {
        struct msg m = { .type = MSG_HELLO };
        m.HELLO = (struct msg_HELLO){ .role = str_of("client"),
                                      .name = str_of(c->name),
                                      .version = str_of(c->version) };
        struct event ev = broker_event(b, EV_MSG);
        ev.peer = c->id;
        ev.msg = &m;
        ev.role = str_of(c->role);
        broker_step(b, &ev);
    }
}

void conns_greet(struct broker *b)
{
    size_t n;
    uint64_t *ids = all_ids(b, &n);
    for (size_t i = 0; i < n; i++) {
        struct conn *c = conn_find(b, ids[i]);
        if (c)
            greet(b, c);
    }
    free(ids);
}

void conns_free(struct broker *b)
{
    size_t n;
    uint64_t *ids = all_ids(b, &n);
    for (size_t i = 0; i < n; i++) {
        struct conn *c = conn_find(b, ids[i]);
        free(c->died);
        free(c);
    }
    free(ids);
    idmap_fini(&b->conns_by_id);
    idmap_fini(&b->conns_by_hash);
}
