/* SPDX-License-Identifier: Apache-2.0 */
/* host: a broker's process, its life and the turns of its loop. It dies between any two effects: from
 * then on nothing that it does is seen. */
#include "tests/sim/host_in.h"

static void turn(struct world *w, void *ctx, uint64_t arg);

/* A turn of the loop takes its time. */
enum { TURN_US = 20 };

void host_wake(struct host *h, int64_t at_us)
{
    if (at_us < h->w->now_us + TURN_US)
        at_us = h->w->now_us + TURN_US;
    if (!h->b || at_us >= h->wake_us)
        return;
    h->wake_us = at_us;
    world_at(h->w, at_us, turn, h, h->life);
}

/* Does it die here? Before and after every effect. */
bool host_dies(struct host *h)
{
    h->dying = h->dying || world_fault(h->w, FAULT_CRASH);
    return h->dying;
}

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
        *p = (struct project_rule){ .weight = r->weight[i],
                                    .limit = r->limit[i],
                                    .klass = CLASS_NORMAL };
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
    const struct oracle_rules *r = &h->w->rules;
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
        .retain_jobs = r->retain_jobs,
        .retain_age_ms = r->retain_age_ms,
        .open_jobs_max = r->open_jobs,
        .hot_jobs = s % 3 ? 0 : 5, /* longer queues are kept cold */
        .rules = set_rules(h),
    };
}

struct packet *host_inbox_take(struct host *h)
{
    struct packet *p = h->inbox;
    if (p)
        h->inbox = p->next;
    if (!h->inbox)
        h->inbox_end = &h->inbox;
    return p;
}

static void inbox_clear(struct host *h)
{
    while (h->inbox)
        packet_free(host_inbox_take(h));
}

void host_kill(struct host *h)
{
    if (!h->b)
        return;
    world_trace(h->w, "%s ends", h->name);
    h->dying = true;
    host_gets_drop(h);
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
        host_gets_drop(h);
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
    host_wake(h, h->w->now_us + chance_below(h->w, 100));
}

/* After any of its callbacks: the end of a turn of its loop. */
void host_turn_over(struct host *h)
{
    loop_seal(h->b);
    if (h->dying || h->ended) {
        host_kill(h);
        return;
    }
    for (uint32_t i = 0; i < h->timers_n; i++) {
        if (h->timers[i]->slot != HEAP_NONE)
            host_wake(h, h->timers[i]->at.ms * 1000);
    }
    if (h->inbox && h->socket_on)
        host_wake(h, h->w->now_us + 10);
}

bool host_suspended(struct host *h, happen_fn *fn, void *ctx, uint64_t arg)
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
    host_gets_drop(h);
    err_set(&err, ERR_UNAVAILABLE, "the connection broke");
    broker_lost(h->b, ERR_UNAVAILABLE, &err);
}

static void turn(struct world *w, void *ctx, uint64_t arg)
{
    struct host *h = ctx;
    if (h->life != arg || !h->b || w->now_us < h->wake_us || host_suspended(h, turn, h, arg))
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
    host_turn_over(h);
}

static void try_lead(struct world *w, void *ctx, uint64_t arg)
{
    struct host *h = ctx;
    struct err err = { 0 };
    if (h->life != arg || !h->b || h->listens || host_suspended(h, try_lead, h, arg))
        return;
    if (!broker_recover(h->b, &err)) {
        if (err.status != ERR_UNAVAILABLE && err.status != ERR_BUSY)
            world_broken(w, "a broker cannot lead: %s", err.text);
        world_in(w, 500000, try_lead, h, arg);
        return;
    }
    h->listens = h->socket_on = true;
    mux_timer_in(h->b->mux, &h->b->tick, 0);
    host_turn_over(h);
}

static void start(struct world *w, void *ctx, uint64_t arg)
{
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
    h->b->store = host_store(h);
    world_in(w, 0, try_lead, h, h->life);
}

void host_start(struct host *h)
{
    start(h->w, h, h->life);
}
