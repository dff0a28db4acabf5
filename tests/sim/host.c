/* SPDX-License-Identifier: Apache-2.0 */
/* host: a broker's process. Below are the ends of the real broker, made here instead of in
 * common/mux.c, peer.c, clock.c, conf.c and broker/store_redis.c: what it asks of them happens in the
 * world. It dies between any two effects: from then on nothing that it does is seen. */
#include "broker/broker.h"
#include "tests/sim/server.h"

#include <assert.h>
#include <stddef.h>

enum { TIMERS_MAX = 8 };

struct get { /* a read on its way */
    struct get *next;
    uint64_t number;
    struct store_get what;
    struct str *names;
    char *space;
    store_get_fn *fn;
    void *ctx;
};

struct host {
    struct world *w;
    uint32_t no;
    struct broker *b; /* NULL: it does not run */
    char name[32], dead[32];
    uint64_t life;
    bool listens, socket_on, dying, ended;
    int64_t stopped_us; /* suspended until then */
    bool lost;          /* its store connection broke while it was suspended */
    bool durable, reads; /* it is being told that a turn is durable, or what it has read */
    int64_t wake_us;
    struct mux_timer *timers[TIMERS_MAX];
    uint32_t timers_n, batch; /* messages that this turn may still take */
    struct packet *inbox, **inbox_end;
    /* connection to the store */
    uint64_t conns, conn, conn_life; /* conn 0: none */
    uint64_t cut;                    /* requests of connections up to this one are lost */
    int64_t asked_us, told_us;
    struct get *gets;
    uint64_t gets_n;
    struct project_rule projects[RULED_PROJECTS];
    struct stage_rule stages[RULED_STAGES];
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

static void turn(struct world *w, void *ctx, uint64_t arg);

/* A turn of the loop takes its time. */
enum { TURN_US = 20 };

static void wake(struct host *h, int64_t at_us)
{
    if (at_us < h->w->now_us + TURN_US)
        at_us = h->w->now_us + TURN_US;
    if (!h->b || at_us >= h->wake_us)
        return;
    h->wake_us = at_us;
    world_at(h->w, at_us, turn, h, h->life);
}

/* Does it die here? Before and after every effect. */
static bool dies(struct host *h)
{
    h->dying = h->dying || world_fault(h->w, FAULT_CRASH);
    return h->dying;
}

/* ---- reads -------------------------------------------------------------------------------- */

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

static void gets_drop(struct host *h)
{
    while (h->gets)
        get_end(h, h->gets, ERR_UNAVAILABLE);
}

/* ---- life --------------------------------------------------------------------------------- */

static void try_lead(struct world *w, void *ctx, uint64_t arg);
static void start(struct world *w, void *ctx, uint64_t arg);

struct host *host_new(struct world *w, uint32_t no)
{
    struct host *h = calloc(1, sizeof *h);
    assert(h);
    h->w = w;
    h->no = no;
    h->inbox_end = &h->inbox;
    h->wake_us = INT64_MAX;
    return h;
}

/* The rules that the oracle knows, as the broker is told them. */
static struct sched_rules set_rules(struct host *h)
{
    const struct oracle_rules *r = &h->w->rules;
    for (uint32_t i = 0; i < RULED_PROJECTS; i++) {
        struct project_rule *p = &h->projects[i];
        *p = (struct project_rule){
            .weight = r->weight[i], .limit = r->limit[i], .klass = CLASS_NORMAL
        };
        snprintf(p->name, sizeof p->name, "p%u", i);
    }
    for (uint32_t i = 0; i < RULED_STAGES; i++) {
        h->stages[i] = (struct stage_rule){ .limit = r->stage_limit[i],
                                            .tasks_per_minute = r->stage_rate[i],
                                            .affinity_ms = r->affinity_ms };
        snprintf(h->stages[i].name, sizeof h->stages[i].name, "%s", stage_names[i]);
    }
    return (struct sched_rules){ h->stages, RULED_STAGES, h->projects, RULED_PROJECTS };
}

static void set_conf(struct host *h)
{
    uint64_t s = h->w->conf.seed;
    bool large = h->w->conf.jobs > 100;
    h->b->core_conf = (struct core_conf){
        .budget = { .rounds = 1 + (uint32_t)(s % 4),
                    .patience = 1 + (uint32_t)(s / 4 % 3),
                    .measures = 800,
                    .judge = 600,
                    .tokens = s % 5 ? 200000 : 120,
                    .wall_ms = s % 7 ? 3600000 : 240000,
                    .question_ms = 60000 },
        .heartbeat_ms = 2000,
        .silence_ms = 15000,
        .retain_jobs = s % 3 || large ? 10000 : 6 + (uint32_t)(s % 9),
        .retain_age_ms = s % 11 ? 86400000 : 300000,
        .open_jobs_max = s % 6 || large ? 10000 : 8,
        .hot_jobs = s % 3 ? 0 : 5, /* longer queues are kept cold */
        .rules = set_rules(h),
    };
}

static struct packet *inbox_take(struct host *h);

static void inbox_clear(struct host *h)
{
    while (h->inbox)
        packet_free(inbox_take(h));
}

void host_kill(struct host *h)
{
    if (!h->b)
        return;
    world_trace(h->w, "%s ends", h->name);
    h->dying = true;
    gets_drop(h);
    broker_close(h->b);
    free(h->b);
    h->b = NULL;
    h->conn = 0;
    h->listens = h->socket_on = false;
    h->timers_n = 0;
    h->wake_us = INT64_MAX;
    h->life++;
    h->stopped_us = 0;
    h->lost = false;
    memcpy(h->dead, h->name, sizeof h->dead);
    inbox_clear(h);
    for (uint32_t i = 0; i < h->w->ends_n; i++) {
        if (h->w->ends[i]->host == h->no)
            end_relink(h->w->ends[i]);
    }
    oracle_restart(h->w->oracle);
    world_in(h->w, chance_between(h->w, 10000, 2000000), start, h, h->life);
}

void host_free(struct host *h)
{
    struct world *w = h->w;
    h->dying = true;
    if (h->b) {
        gets_drop(h);
        broker_close(h->b);
        free(h->b);
    }
    (void)w;
    inbox_clear(h);
    free(h);
}

/* It goes on: before it has read anything, nobody was silent for it. */
static void go_on(struct world *w, void *ctx, uint64_t stopped_ms)
{
    struct host *h = ctx;
    if (h->b && h->stopped_us == w->now_us)
        oracle_stalled(w->oracle, h->b->epoch.incarnation, (int64_t)stopped_ms, w->now_us / 1000);
}

void host_stop(struct host *h, int64_t ms)
{
    if (!h->b || h->stopped_us > h->w->now_us)
        return;
    h->stopped_us = h->w->now_us + ms * 1000;
    world_at(h->w, h->stopped_us, go_on, h, (uint64_t)(h->w->now_us / 1000));
}

void host_check(const struct host *h)
{
    if (h->b && h->b->core && !h->b->broken)
        core_check(h->b->core);
}

void host_deliver(struct host *h, struct packet *p)
{
    p->next = NULL;
    p->early = !h->listens;
    *h->inbox_end = p;
    h->inbox_end = &p->next;
    wake(h, h->w->now_us + chance_below(h->w, 100));
}

/* After any of its callbacks: the end of a turn of its loop. */
static void turn_over(struct host *h)
{
    loop_seal(h->b);
    if (h->dying || h->ended) {
        host_kill(h);
        return;
    }
    for (uint32_t i = 0; i < h->timers_n; i++) {
        if (h->timers[i]->slot != HEAP_NONE)
            wake(h, h->timers[i]->at.ms * 1000);
    }
    if (h->inbox && h->socket_on)
        wake(h, h->w->now_us + 10);
}

static bool suspended(struct host *h, happen_fn *fn, void *ctx, uint64_t arg)
{
    if (h->w->now_us >= h->stopped_us)
        return false;
    world_at(h->w, h->stopped_us, fn, ctx, arg);
    return true;
}

static void tell_lost(struct host *h)
{
    struct err err = { 0 };
    h->lost = false;
    h->conn = 0;
    gets_drop(h);
    err_set(&err, ERR_UNAVAILABLE, "the connection broke");
    broker_lost(h->b, ERR_UNAVAILABLE, &err);
}

static void turn(struct world *w, void *ctx, uint64_t arg)
{
    struct host *h = ctx;
    if (h->life != arg || !h->b || w->now_us < h->wake_us ||
        suspended(h, turn, h, arg))
        return;
    h->wake_us = INT64_MAX;
    if (h->lost)
        tell_lost(h);
    for (uint32_t i = 0; i < h->timers_n; i++) {
        struct mux_timer *t = h->timers[i];
        if (t->slot == HEAP_NONE || t->at.ms * 1000 > w->now_us)
            continue;
        t->slot = HEAP_NONE;
        t->fn(t->ctx);
    }
    h->batch = 1 + chance_below(w, 32);
    if (h->socket_on && h->inbox)
        loop_on_socket(h->b, h);
    turn_over(h);
}

static void try_lead(struct world *w, void *ctx, uint64_t arg)
{
    struct host *h = ctx;
    struct err err = { 0 };
    if (h->life != arg || !h->b || h->listens || suspended(h, try_lead, h, arg))
        return;
    if (!broker_recover(h->b, &err)) {
        if (err.status != ERR_UNAVAILABLE && err.status != ERR_BUSY)
            world_broken(w, "a broker cannot lead: %s", err.text);
        world_in(w, 500000, try_lead, h, arg);
        return;
    }
    h->listens = h->socket_on = true;
    mux_timer_in(h->b->mux, &h->b->tick, 0);
    turn_over(h);
}

static enum status ops_lead(void *self, struct epoch *epoch, struct err *err)
{
    struct host *h = self;
    const struct host *other = h->w->conf.hosts > 1 ? h->w->hosts[!h->no] : NULL;
    bool near = h->w->conf.seed % 2 && other && !other->b; /* on the same machine its end is seen */
    if (h->dying)
        return err_set(err, ERR_UNAVAILABLE, "dead");
    gets_drop(h);
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

/* ---- commits ------------------------------------------------------------------------------ */

void host_store_lost(struct host *h)
{
    if (!h->b || !h->conn)
        return;
    if (chance_below(h->w, 2))
        h->cut = h->conn; /* what is still under way does not arrive */
    h->conn = 0;
    h->lost = true;
    wake(h, h->w->now_us + chance_below(h->w, 2000));
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
    if (suspended(h, told, r, 0))
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
    turn_over(h);
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
    if (dies(h))
        return OK;
    if (!h->conn)
        return ERR_UNAVAILABLE;
    struct request *r = calloc(1, sizeof *r);
    assert(r);
    r->turn = number;
    buf_init(&r->bytes, BATCH_MAX);
    buf_view(&r->bytes, batch);
    ask(h, r);
    dies(h);
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
    if (!g || !h->conn || suspended(h, read_now, h, arg))
        return; /* of a broken connection: it will be told so */
    h->reads = true;
    get_end(h, g, world_fault(w, FAULT_READ_FAIL) ? ERR_UNAVAILABLE : OK);
    h->reads = false;
    turn_over(h);
}

static enum status ops_get(void *self, const struct store_get *what, store_get_fn *fn, void *ctx)
{
    struct host *h = self;
    if (!h->conn || what->kind == GET_INFO)
        return ERR_UNAVAILABLE;
    struct get *g = calloc(1, sizeof *g);
    size_t bytes = 0;
    assert(g);
    *g = (struct get){ .number = ++h->gets_n, .what = *what, .fn = fn, .ctx = ctx, .next = h->gets };
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

static void start(struct world *w, void *ctx, uint64_t arg)
{
    static const struct store_ops ops = { .lead = ops_lead,
                                          .load = ops_load,
                                          .commit = ops_commit,
                                          .get = ops_get,
                                          .renew = ops_renew,
                                          .confirm = ops_confirm,
                                          .resign = ops_resign };
    struct host *h = ctx;
    if (h->b || h->life != arg)
        return;
    h->b = calloc(1, sizeof *h->b);
    assert(h->b);
    snprintf(h->name, sizeof h->name, "host%u/%llu", h->no, (unsigned long long)h->life);
    h->dying = h->ended = false;
    broker_init(h->b);
    set_conf(h);
    if (pipeline_default(&h->b->pipeline) != OK)
        abort();
    h->b->mux = (struct mux *)h;
    h->b->peer = (struct peer *)h;
    h->b->store = (struct store){ &ops, h };
    world_in(w, 0, try_lead, h, h->life);
}

void host_start(struct host *h)
{
    start(h->w, h, h->life);
}

/* ---- the ends of the broker --------------------------------------------------------------- */

static struct host *host_of(const void *p)
{
    return (struct host *)(uintptr_t)p; /* struct mux and struct peer are incomplete: ours to give */
}

struct mono mono_now(void)
{
    return (struct mono){ the_world->now_us / 1000 };
}

int64_t mono_now_us(void)
{
    return the_world->now_us;
}

struct wall wall_now(void)
{
    return (struct wall){ sim_wall_ms(the_world) };
}

uint64_t __wrap_random_u64(void); /* the linker's name for random_u64() of the broker */
uint64_t __wrap_random_u64(void)
{
    return chance_next(the_world);
}

struct mono mux_now(const struct mux *m)
{
    (void)m;
    return mono_now();
}

void mux_timer_at(struct mux *m, struct mux_timer *t, struct mono at)
{
    struct host *h = host_of(m);
    uint32_t i = 0;
    while (i < h->timers_n && h->timers[i] != t)
        i++;
    assert(i < TIMERS_MAX);
    h->timers[i] = t;
    h->timers_n += i == h->timers_n;
    t->at = at;
    t->slot = 0;
    wake(h, at.ms * 1000);
}

void mux_timer_in(struct mux *m, struct mux_timer *t, int64_t delay_ms)
{
    mux_timer_at(m, t, (struct mono){ mono_now().ms + delay_ms });
}

void mux_timer_stop(struct mux *m, struct mux_timer *t)
{
    (void)m;
    t->slot = HEAP_NONE;
}

void mux_stop(struct mux *m)
{
    host_of(m)->ended = true;
}

enum status mux_socket(struct mux *m, void *socket, mux_socket_fn *fn, void *ctx)
{
    (void)socket;
    (void)fn;
    (void)ctx;
    host_of(m)->socket_on = true;
    return OK;
}

void mux_socket_remove(struct mux *m, void *socket)
{
    (void)socket;
    host_of(m)->socket_on = false;
}

void mux_free(struct mux *m)
{
    (void)m;
}

void peer_close(struct peer *p)
{
    (void)p;
}

void *peer_socket(const struct peer *p)
{
    return host_of(p);
}

struct str peer_frame(const struct peer_in *in, uint32_t i)
{
    const struct packet *p = in->frames;
    return p && i < p->n ? p->frame[i] : (struct str){ 0 };
}

void peer_in_free(struct peer_in *in)
{
    packet_free(in->frames);
    in->frames = NULL;
}

static void trace(struct host *h, const char *way, uint64_t link, const struct msg *m)
{
    struct str key = { 0 };
    if (!h->w->conf.trace)
        return;
    if (m->type == MSG_TASK)
        key = m->TASK.task;
    else if (m->type == MSG_HELLO)
        key = m->HELLO.name;
    else if (m->type >= MSG_STEP && m->type <= MSG_CALLED && m->type != MSG_TOKENS)
        key = m->STEP.task; /* all of them begin with it */
    else if (m->type == MSG_REFUSED)
        key = m->REFUSED.text;
    uint64_t a = m->type == MSG_READY ? m->READY.credit : m->type == MSG_TASK ? m->TASK.seq : 0;
    uint64_t b = m->type == MSG_READY ? m->READY.seen : 0;
    world_trace(h->w, "%s %s %u/%llu %s %.*s %llu %llu", h->name, way,
                (unsigned)(link & 0xffff) - 1, (unsigned long long)(link >> 16),
                msg_name(m->type), STR_ARG(key), (unsigned long long)a, (unsigned long long)b);
}

static struct packet *inbox_take(struct host *h)
{
    struct packet *p = h->inbox;
    if (p)
        h->inbox = p->next;
    if (!h->inbox)
        h->inbox_end = &h->inbox;
    return p;
}

enum status peer_recv(struct peer *peer, struct peer_in *in)
{
    struct host *h = host_of(peer);
    struct msg m;
    if (!h->inbox || h->batch == 0)
        return ERR_BUSY;
    struct packet *p = inbox_take(h);
    while (p && p->early && wire_end(h->w, p->link)->link != p->link) {
        packet_free(p); /* its sender has gone elsewhere meanwhile */
        p = inbox_take(h);
    }
    if (!p)
        return ERR_BUSY;
    h->batch--;
    in->frames = p;
    in->n = p->n;
    in->role[0] = '\0';
    in->user = (struct str){ 0 };
    in->from = (struct str){ (const char *)&p->link, sizeof p->link };
    if (msg_decode(p->frame[0], &m, NULL) == OK && h->b->core && !h->b->broken) {
        trace(h, "<", p->link, &m);
        oracle_heard(h->w->oracle, p->link, &m, p->frame + 1, p->n - 1, h->w->now_us / 1000);
    }
    return OK;
}

/* Abandon, cancel and acknowledge: only what the store has taken under the broker's epoch. */
static bool promises(const struct msg *m)
{
    return m->type == MSG_TASK || m->type == MSG_TAKEN || m->type == MSG_DROP ||
           m->type == MSG_STEPPED || m->type == MSG_CALLED || m->type == MSG_SUBMITTED ||
           m->type == MSG_OKAY;
}

static enum status say_it(struct host *h, struct str to, struct str header, const struct str *frames,
                          uint32_t n)
{
    uint64_t link;
    struct msg m;
    assert(to.n == sizeof link);
    memcpy(&link, to.p, sizeof link);
    if (dies(h))
        return OK;
    if (msg_decode(header, &m, NULL) != OK)
        world_broken(h->w, "the broker said something malformed");
    trace(h, ">", link, &m);
    if (promises(&m) && !h->durable && !(m.type == MSG_TASK && h->reads))
        world_broken(h->w, "%s was said before its turn was durable", msg_name(m.type));
    enum status st = wire_to_end(h->w, link, header, frames, n);
    if (st == OK)
        oracle_said(h->w->oracle, h->b->epoch.incarnation, link, &m, frames, n,
                    h->w->now_us / 1000);
    if (wire_end(h->w, link)->link != link)
        oracle_peer_lost(h->w->oracle, link); /* it was gone already, or is now */
    dies(h);
    return st;
}

uint64_t peer_allow_version(struct peer *p)
{
    (void)p;
    return 0; /* no keys here */
}

const char *peer_role(struct peer *p, const char *key)
{
    (void)p;
    (void)key;
    return NULL;
}

enum status peer_send_raw(struct peer *p, struct str to, struct str header, const struct str *frames,
                          uint32_t n)
{
    return say_it(host_of(p), to, header, frames, n);
}

enum status peer_send(struct peer *p, struct str to, const struct msg *m, const struct str *frames,
                      uint32_t n)
{
    struct buf header;
    buf_init(&header, PAWL_HEADER_MAX);
    enum status st = msg_encode(m, &header);
    if (st == OK)
        st = say_it(host_of(p), to, buf_get(&header), frames, n);
    buf_fini(&header);
    return st;
}

int64_t conf_int(const struct conf *c, enum conf_key k)
{
    (void)c;
    (void)k;
    return 1 << 20; /* retain.events is all that the loop asks for */
}

void log_line(struct log *log, enum log_level level, const char *msg, ...)
{
    (void)log;
    if (level >= LOG_WARN)
        world_trace(the_world, "log: %s", msg);
}

void store_redis_free(struct store_redis *s)
{
    (void)s;
}
