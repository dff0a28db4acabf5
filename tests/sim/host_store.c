/* SPDX-License-Identifier: Apache-2.0 */
/* host_store: a host's connection to the store, in place of broker/store_redis.c: commits and reads
 * travel, are lost, answered late or not at all. */
#include "tests/sim/host_in.h"

struct get { /* a read on its way */
    struct get *next;
    uint64_t number;
    struct store_get what;
    struct str *names;
    char *space;
    store_get_fn *fn;
    void *ctx;
};

struct request { /* a commit on its way, then its answer */
    struct host *h;
    uint64_t conn, life;
    struct epoch epoch;
    uint64_t turn;
    bool renew;
    int64_t sent_ms;
    enum status st;
    struct err err;
    struct buf bytes;
};

static void get_end(struct host *h, struct get *g, enum status st)
{
    struct get **at = &h->gets;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    if (st == OK) {
        st = store_fake_read(server_store(h->w->server), &g->what, g->fn, g->ctx);
        assert(st == OK);
    } else {
        g->fn(g->ctx, st, NULL, 0);
    }
    free(g->names);
    free(g->space);
    free(g);
}

void host_gets_drop(struct host *h)
{
    while (h->gets)
        get_end(h, h->gets, ERR_UNAVAILABLE);
}

static enum status ops_lead(void *self, struct epoch *epoch, struct err *err)
{
    struct host *h = self;
    const struct host *other = h->w->conf.hosts > 1 ? h->w->hosts[!h->no] : NULL;
    bool near = h->w->conf.seed % 2 && other && !other->b; /* on the same machine its end is seen */
    if (h->dying)
        return err_set(err, ERR_UNAVAILABLE, "dead");
    host_gets_drop(h);
    enum status st = server_lead(h->w->server, h->name, near ? other->dead : h->dead, epoch, err);
    if (st != OK)
        return st;
    h->conn = ++h->conns;
    h->conn_life = server_life(h->w->server);
    return OK;
}

static enum status ops_load(void *self, store_load_fn *pipeline, store_load_fn *job, void *ctx,
                            struct err *err)
{
    struct host *h = self;
    if (world_fault(h->w, FAULT_READ_FAIL))
        return err_set(err, ERR_UNAVAILABLE, "LOADING");
    return store_fake_load(server_store(h->w->server), pipeline, job, ctx, err);
}

void host_store_lost(struct host *h)
{
    if (!h->b || !h->conn)
        return;
    if (chance_below(h->w, 2))
        h->cut = h->conn; /* what is still under way does not arrive */
    h->conn = 0;
    h->lost = true;
    host_wake(h, h->w->now_us + chance_below(h->w, 2000));
}

static void request_free(struct request *r)
{
    buf_fini(&r->bytes);
    free(r);
}

static void told(struct world *w, void *ctx, uint64_t arg)
{
    struct request *r = ctx;
    struct host *h = r->h;
    (void)arg;
    if (h->life != r->life || h->conn != r->conn || !h->b) {
        request_free(r);
        return;
    }
    if (host_suspended(h, told, r, 0))
        return;
    h->durable = !r->renew && r->st == OK;
    if (r->st == ERR_DENIED)
        oracle_deposed(w->oracle, r->epoch.incarnation);
    if (!r->renew)
        loop_committed(h->b, r->st, &r->err);
    else if (r->st == OK)
        broker_renewed(h->b, r->sent_ms);
    else if (r->st != OK)
        broker_lost(h->b, r->st, &r->err);
    h->durable = false;
    request_free(r);
    host_turn_over(h);
}

static void arrived(struct world *w, void *ctx, uint64_t arg)
{
    struct request *r = ctx;
    struct host *h = r->h;
    (void)arg;
    if (r->conn <= h->cut || server_is_down(w->server)) {
        request_free(r);
        return;
    }
    if (world_fault(w, FAULT_REQUEST_LOST)) {
        h->cut = r->conn;
        if (h->conn == r->conn)
            host_store_lost(h);
        request_free(r);
        return;
    }
    r->st = r->renew ? server_renew(w->server, &r->epoch, &r->err)
                     : server_commit(w->server, &r->epoch, r->turn, buf_get(&r->bytes), &r->err);
    if (r->st == OK && !r->renew && world_fault(w, FAULT_STORE_DUP) &&
        server_commit(w->server, &r->epoch, r->turn, buf_get(&r->bytes), &r->err) != OK &&
        r->err.status == ERR_DENIED)
        world_broken(w, "the same batch, said twice, is refused: %s", r->err.text);
    if (world_fault(w, FAULT_REPLY_LOST) && h->conn == r->conn)
        host_store_lost(h);
    int64_t at = w->now_us + 30 + chance_below(w, 800);
    h->told_us = at > h->told_us ? at : h->told_us + 1;
    world_at(w, h->told_us, told, r, 0);
}

static void ask(struct host *h, struct request *r)
{
    int64_t at = h->w->now_us + 30 + chance_below(h->w, chance_below(h->w, 8) ? 300 : 20000);
    r->h = h;
    r->conn = h->conn;
    r->life = h->life;
    r->epoch = h->b->epoch;
    h->asked_us = at > h->asked_us ? at : h->asked_us + 1;
    world_at(h->w, h->asked_us, arrived, r, 0);
}

static enum status ops_commit(void *self, uint64_t number, struct str batch)
{
    struct host *h = self;
    if (host_dies(h))
        return OK;
    if (!h->conn)
        return ERR_UNAVAILABLE;
    struct request *r = calloc(1, sizeof *r);
    assert(r);
    r->turn = number;
    buf_init(&r->bytes, BATCH_MAX);
    buf_view(&r->bytes, batch);
    ask(h, r);
    host_dies(h);
    return OK;
}

static void ops_renew(void *self)
{
    struct host *h = self;
    if (!h->conn || h->dying)
        return;
    struct request *r = calloc(1, sizeof *r);
    assert(r);
    r->renew = true;
    r->sent_ms = mono_now().ms;
    buf_init(&r->bytes, 1);
    ask(h, r);
}

static enum status ops_confirm(void *self, struct err *err)
{
    struct host *h = self;
    if (h->dying || h->lost || !h->conn || server_is_down(h->w->server))
        return err_set(err, ERR_UNAVAILABLE, "connection refused");
    enum status st = server_renew(h->w->server, &h->b->epoch, err);
    if (st == ERR_DENIED)
        oracle_deposed(h->w->oracle, h->b->epoch.incarnation);
    return st;
}

static void read_now(struct world *w, void *ctx, uint64_t arg)
{
    struct host *h = ctx;
    struct get *g = h->gets;
    while (g && g->number != arg)
        g = g->next;
    if (!g || !h->conn || host_suspended(h, read_now, h, arg))
        return; /* of a broken connection: it will be told so */
    h->reads = true;
    get_end(h, g, world_fault(w, FAULT_READ_FAIL) ? ERR_UNAVAILABLE : OK);
    h->reads = false;
    host_turn_over(h);
}

static enum status ops_get(void *self, const struct store_get *what, store_get_fn *fn, void *ctx)
{
    struct host *h = self;
    if (!h->conn || what->kind == GET_INFO)
        return ERR_UNAVAILABLE;
    struct get *g = calloc(1, sizeof *g);
    size_t bytes = 0;
    assert(g);
    *g =
        (struct get){ .number = ++h->gets_n, .what = *what, .fn = fn, .ctx = ctx, .next = h->gets };
    for (uint32_t i = 0; i < what->names_n; i++)
        bytes += what->names[i].n;
    g->names = calloc(what->names_n + 1, sizeof *g->names);
    g->space = malloc(bytes + 1);
    assert(g->names && g->space);
    bytes = 0;
    for (uint32_t i = 0; i < what->names_n; i++) {
        memcpy(g->space + bytes, what->names[i].p, what->names[i].n);
        g->names[i] = (struct str){ g->space + bytes, what->names[i].n };
        bytes += what->names[i].n;
    }
    g->what.names = g->names;
    h->gets = g;
    int64_t at = h->w->now_us + 30 + chance_below(h->w, 600);
    h->asked_us = at > h->asked_us ? at : h->asked_us + 1;
    world_at(h->w, h->asked_us, read_now, h, g->number);
    return OK;
}

static void ops_resign(void *self)
{
    (void)self;
}

void store_redis_free(struct store_redis *s)
{
    (void)s;
}

struct store host_store(struct host *h)
{
    static const struct store_ops ops = { .lead = ops_lead,
                                          .load = ops_load,
                                          .commit = ops_commit,
                                          .get = ops_get,
                                          .renew = ops_renew,
                                          .confirm = ops_confirm,
                                          .resign = ops_resign };
    return (struct store){ &ops, h };
}
