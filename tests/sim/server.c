/* SPDX-License-Identifier: Apache-2.0 */
/* server: the store's server and the brokers' connections to it. It keeps what is written (the C
 * twin of functions.lua), a replica that lags behind, and the leader's lease. */
#include "tests/sim/server.h"

#include <assert.h>
#include <stddef.h>

enum { LAG_MAX = 64 };

struct written { /* a batch or a new leader that the replica has not seen */
    struct written *next;
    struct epoch epoch;
    uint64_t turn; /* 0: a leader */
    char holder[64];
    struct buf bytes;
};

struct server {
    struct world *w;
    struct store_fake store, replica;
    bool replicated;
    struct written *lag, **lag_end;
    uint32_t lag_n;
    int64_t lock_until_ms; /* wall clock, as Redis keeps the end of a key */
    bool down;
    uint64_t downs;
    uint64_t life; /* connections of an earlier life are broken */
};

static int64_t now_ms(const struct server *s)
{
    return s->w->now_us / 1000;
}

static void changed(void *ctx, const char *key, const char *field, struct str value)
{
    struct server *s = ctx;
    oracle_cell(s->w->oracle, key, field, value);
}

struct server *server_new(struct world *w)
{
    struct server *s = calloc(1, sizeof *s);
    assert(s);
    s->w = w;
    s->lag_end = &s->lag;
    s->replicated = w->conf.rate[FAULT_FAILOVER] > 0;
    store_fake_init(&s->store, "", NULL);
    store_fake_init(&s->replica, "", NULL);
    s->store.changed = changed;
    s->store.changed_ctx = s;
    return s;
}

static void written_free(struct written *l)
{
    buf_fini(&l->bytes);
    free(l);
}

static struct written *lag_take(struct server *s)
{
    struct written *l = s->lag;
    s->lag = l->next;
    if (!s->lag)
        s->lag_end = &s->lag;
    s->lag_n--;
    return l;
}

/* The replica does what its master did. */
static void replay(struct server *s)
{
    struct written *l = lag_take(s);
    struct err err = { 0 };
    if (l->turn == 0) {
        s->replica.epoch = l->epoch;
        s->replica.turn = 0;
        s->replica.digest[0] = '\0';
        memcpy(s->replica.holder, l->holder, sizeof l->holder);
    } else if (store_fake_commit(&s->replica, &l->epoch, l->turn, buf_get(&l->bytes), &err) != OK) {
        world_broken(s->w, "the replica refuses what its master took: %s", err.text);
    }
    written_free(l);
}

static void keep(struct server *s, const struct epoch *epoch, uint64_t turn, struct str bytes)
{
    if (!s->replicated)
        return;
    struct written *l = calloc(1, sizeof *l);
    assert(l);
    *l = (struct written){ .epoch = *epoch, .turn = turn };
    memcpy(l->holder, s->store.holder, sizeof l->holder);
    buf_init(&l->bytes, BATCH_MAX);
    buf_view(&l->bytes, bytes);
    *s->lag_end = l;
    s->lag_end = &l->next;
    s->lag_n++;
    while (s->lag_n > LAG_MAX)
        replay(s);
}

void server_free(struct server *s)
{
    while (s->lag)
        written_free(lag_take(s));
    store_fake_fini(&s->store);
    store_fake_fini(&s->replica);
    free(s);
}

struct str server_look(void *ctx, const char *key, const char *field)
{
    struct world *w = ctx;
    const struct buf *b = store_fake_get(&w->server->store, key, field);
    return b ? (struct str){ b->data ? b->data : "", b->len } : (struct str){ 0 };
}

/* ---- faults ------------------------------------------------------------------------------- */

static void again_up(struct world *w, void *ctx, uint64_t arg)
{
    struct server *s = ctx;
    (void)w;
    if (s->downs == arg)
        s->down = false;
}

void server_down(struct server *s, int64_t ms)
{
    s->down = true;
    s->life++;
    world_in(s->w, ms * 1000, again_up, s, ++s->downs);
    for (uint32_t i = 0; i < s->w->conf.hosts; i++)
        host_store_lost(s->w->hosts[i]);
}

void server_heal(struct server *s)
{
    s->down = false;
}

/* The replica takes over with what it has. */
void server_fail_over(struct server *s)
{
    if (!s->replicated)
        return;
    for (uint32_t n = chance_below(s->w, s->lag_n + 1); n; n--)
        replay(s);
    world_trace(s->w, "failover loses %u writes", s->lag_n);
    while (s->lag)
        written_free(lag_take(s));
    s->store.changed = NULL;
    store_fake_fini(&s->store);
    store_fake_init(&s->store, "", NULL);
    oracle_before_reload(s->w->oracle);
    s->store.changed = changed;
    s->store.changed_ctx = s;
    store_fake_copy(&s->store, &s->replica);
    oracle_reloaded(s->w->oracle);
    server_down(s, chance_between(s->w, 1, 300));
}

/* ---- what brokers ask --------------------------------------------------------------------- */

uint64_t server_life(const struct server *s)
{
    return s->life;
}

bool server_is_down(const struct server *s)
{
    return s->down;
}

static int64_t wall_ms(const struct server *s)
{
    return 1700000000000 + now_ms(s) + s->w->wall_skew_ms;
}

enum status server_lead(struct server *s, const char *name, const char *dead, struct epoch *epoch,
                        struct err *err)
{
    struct store_fake *f = &s->store;
    if (s->down)
        return err_set(err, ERR_UNAVAILABLE, "connection refused");
    if (f->holder[0] && (wall_ms(s) > s->lock_until_ms || strcmp(f->holder, dead) == 0))
        f->holder[0] = '\0';
    f->now_ms = wall_ms(s);
    enum status st = store_fake_lead(f, name, epoch, err);
    if (st != OK)
        return st;
    s->lock_until_ms = wall_ms(s) + STORE_LEASE_MS;
    keep(s, epoch, 0, (struct str){ 0 });
    oracle_led(s->w->oracle, epoch->incarnation, s->w->now_us / 1000);
    world_trace(s->w, "%s leads", name);
    return OK;
}

enum status server_renew(struct server *s, const struct epoch *epoch, struct err *err)
{
    const struct epoch *e = &s->store.epoch;
    if (e->generation != epoch->generation || e->incarnation != epoch->incarnation)
        return err_set(err, ERR_DENIED, "another broker leads: %s", s->store.holder);
    s->lock_until_ms = wall_ms(s) + STORE_LEASE_MS;
    return OK;
}

/* The same batch and one operation that cannot be done: nothing of it may be written. */
static enum status commit_bad(struct server *s, const struct epoch *epoch, uint64_t turn,
                              struct str bytes, struct err *err)
{
    struct buf b;
    struct mp in;
    struct mp_value head;
    mp_init(&in, bytes);
    if (mp_want(&in, MP_ARRAY, &head) != OK)
        return err_set(err, ERR_DATA, "malformed batch");
    buf_init(&b, BATCH_MAX);
    mp_array(&b, head.n + 1);
    buf_view(&b, (struct str){ bytes.p + in.at, bytes.n - in.at });
    mp_array(&b, 2);
    mp_z(&b, "?");
    mp_z(&b, "x");
    enum status st = store_fake_commit(&s->store, epoch, turn, buf_get(&b), err);
    if (st == OK)
        world_broken(s->w, "the store takes an operation that it does not know");
    oracle_refused(s->w->oracle);
    buf_fini(&b);
    return st;
}

enum status server_commit(struct server *s, const struct epoch *epoch, uint64_t turn,
                          struct str bytes, struct err *err)
{
    if (world_fault(s->w, FAULT_STORE_ERROR))
        return err_set(err, ERR_UNAVAILABLE, "OOM command not allowed");
    if (world_fault(s->w, FAULT_STORE_BAD))
        return commit_bad(s, epoch, turn, bytes, err);
    uint64_t before = s->store.turn;
    enum status st = store_fake_commit(&s->store, epoch, turn, bytes, err);
    if (st != OK) {
        world_trace(s->w, "turn refused: %s", err->text);
        oracle_refused(s->w->oracle);
        if (strncmp(err->text, "CONFLICT", 8) == 0)
            world_broken(s->w, "the leader and the store differ: %s", err->text);
        return st;
    }
    if (s->store.turn == before)
        return OK; /* it was there */
    keep(s, epoch, turn, bytes);
    oracle_committed(s->w->oracle, epoch->incarnation, turn);
    return OK;
}

const struct store_fake *server_store(const struct server *s)
{
    return &s->store;
}
