/* SPDX-License-Identifier: Apache-2.0 */
/* world: chance, the queue of what happens next, the wire, faults. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>

struct happening {
    int64_t at_us;
    uint64_t order;
    happen_fn *fn;
    void *ctx;
    uint64_t arg;
};

struct world *the_world;

/* ---- chance ------------------------------------------------------------------------------- */

uint64_t chance_next(struct world *w)
{
    uint64_t z = w->chance += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t chance_below(struct world *w, uint32_t n)
{
    return (uint32_t)(((chance_next(w) >> 32) * n) >> 32);
}

int64_t chance_between(struct world *w, int64_t least, int64_t most)
{
    return least + (int64_t)(chance_next(w) % (uint64_t)(most - least + 1));
}

bool chance_of(struct world *w, uint32_t per_100k)
{
    return per_100k && chance_below(w, 100000) < per_100k;
}

int64_t sim_wall_ms(const struct world *w)
{
    return 1700000000000 + w->now_us / 1000 + w->wall_skew_ms;
}

static const struct {
    const char *name;
    uint32_t rate;
} faults[FAULT_COUNT] = {
#define X(id, name, rate, meaning) { name, rate },
    FAULTS(X)
#undef X
};

const char *fault_name(enum fault f)
{
    return faults[f].name;
}

void conf_default(struct sim_conf *c)
{
    *c = (struct sim_conf){ .seed = 1, .steps = 5000, .calm = true, .check_every = 1000 };
    for (int f = 0; f < FAULT_COUNT; f++)
        c->rate[f] = faults[f].rate;
}

bool world_fault(struct world *w, enum fault f)
{
    bool yes = !w->calm && chance_of(w, w->conf.rate[f]);
    w->told[f] += yes;
    if (yes)
        world_trace(w, "fault %s", fault_name(f));
    return yes;
}

/* ---- what happens next -------------------------------------------------------------------- */

static bool sooner(const struct happening *a, const struct happening *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void world_at(struct world *w, int64_t at_us, happen_fn *fn, void *ctx, uint64_t arg)
{
    if (w->queue_n == w->queue_cap) {
        w->queue_cap = w->queue_cap ? w->queue_cap * 2 : 1024;
        w->queue = realloc(w->queue, w->queue_cap * sizeof *w->queue);
        assert(w->queue);
    }
    struct happening h = { at_us > w->now_us ? at_us : w->now_us, ++w->order, fn, ctx, arg };
    size_t i = w->queue_n++;
    for (; i > 0 && sooner(&h, &w->queue[(i - 1) / 2]); i = (i - 1) / 2)
        w->queue[i] = w->queue[(i - 1) / 2];
    w->queue[i] = h;
}

void world_in(struct world *w, int64_t delay_us, happen_fn *fn, void *ctx, uint64_t arg)
{
    world_at(w, w->now_us + delay_us, fn, ctx, arg);
}

static struct happening take_next(struct world *w)
{
    struct happening first = w->queue[0], last = w->queue[--w->queue_n];
    size_t i = 0, n = w->queue_n;
    for (size_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && sooner(&w->queue[child + 1], &w->queue[child]))
            child++;
        if (!sooner(&w->queue[child], &last))
            break;
        w->queue[i] = w->queue[child];
        i = child;
    }
    w->queue[i] = last;
    return first;
}

void world_trace(struct world *w, const char *fmt, ...)
{
    va_list args;
    if (!w->conf.trace)
        return;
    fprintf(stderr, "%8llu %12.6f ", (unsigned long long)w->steps, (double)w->now_us / 1e6);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

void world_broken(struct world *w, const char *fmt, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "pawl-sim: seed %llu step %llu (%s): ", (unsigned long long)w->conf.seed,
            (unsigned long long)w->steps, w->calm ? "calm" : "faults");
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* ---- packets ------------------------------------------------------------------------------ */

struct packet *packet_new(struct str header, const struct str *frames, uint32_t n)
{
    assert(n < PACKET_FRAMES);
    size_t bytes = header.n;
    for (uint32_t i = 0; i < n; i++)
        bytes += frames[i].n;
    struct packet *p = malloc(sizeof *p + bytes + 1);
    assert(p);
    char *to = (char *)(p + 1);
    p->next = NULL;
    p->n = n + 1;
    for (uint32_t i = 0; i <= n; i++) {
        struct str s = i ? frames[i - 1] : header;
        memcpy(to, s.p ? s.p : "", s.n);
        p->frame[i] = (struct str){ to, s.n };
        to += s.n;
    }
    return p;
}

void packet_free(struct packet *p)
{
    free(p);
}

struct str sim_frame(const char *text, char *space)
{
    size_t n = strlen(text);
    assert(n < 250);
    memcpy(space, "\0\x81\xa4text\xd9", 8);
    space[8] = (char)n;
    memcpy(space + 9, text, n);
    return (struct str){ space, n + 9 };
}

bool sim_text(struct str frame, struct str *text)
{
    struct mp in;
    struct mp_value v;
    if (frame.n < 3)
        return false;
    mp_init(&in, (struct str){ frame.p + 1, frame.n - 1 });
    if (mp_want(&in, MP_MAP, &v) != OK || mp_want(&in, MP_STR, &v) != OK ||
        mp_want(&in, MP_STR, &v) != OK)
        return false;
    *text = v.str;
    return true;
}

/* ---- the wire ----------------------------------------------------------------------------- */

int64_t wire_delay_us(struct world *w)
{
    if (world_fault(w, FAULT_SLOW_WIRE))
        return chance_between(w, 10000, 1000000);
    return 50 + chance_below(w, 1500);
}

void end_add(struct world *w, struct end *e)
{
    w->ends = realloc(w->ends, (w->ends_n + 1) * sizeof *w->ends);
    assert(w->ends);
    e->w = w;
    e->no = w->ends_n;
    w->ends[w->ends_n++] = e;
    e->broken_us = -1;
    e->link = ++w->names << 16 | (e->no + 1);
}

void end_relink(struct end *e)
{
    oracle_peer_lost(e->w->oracle, e->link);
    e->link = ++e->w->names << 16 | (e->no + 1);
    e->broken_us = e->w->now_us;
    e->out_us = e->in_us = e->w->now_us;
}

struct end *wire_end(struct world *w, uint64_t link)
{
    uint32_t no = (uint32_t)(link & 0xffff);
    return no && no <= w->ends_n ? w->ends[no - 1] : NULL;
}

static void at_broker(struct world *w, void *ctx, uint64_t arg)
{
    struct packet *p = ctx;
    struct end *e = wire_end(w, p->link);
    struct host *h = w->hosts[e->host];
    (void)arg;
    if (e->link != p->link) {
        packet_free(p); /* its connection is gone */
        return;
    }
    host_deliver(h, p);
}

static void at_end(struct world *w, void *ctx, uint64_t arg)
{
    struct packet *p = ctx;
    struct end *e = wire_end(w, p->link);
    struct msg m;
    (void)arg;
    if (e->link == p->link && e->hung) {
        world_in(w, 500000, at_end, p, 0); /* in its socket: heard when it wakes up */
        return;
    }
    if (e->link == p->link && !e->deaf) {
        if (msg_decode(p->frame[0], &m, NULL) != OK)
            world_broken(w, "the broker said something malformed");
        e->hear(e, &m, p->frame + 1, p->n - 1);
    }
    packet_free(p);
}

static int64_t in_line(struct world *w, int64_t *last)
{
    int64_t at = w->now_us + wire_delay_us(w);
    *last = at > *last ? at : *last + 1;
    return *last;
}

void end_say(struct end *e, const struct msg *m, const struct str *frames, uint32_t n)
{
    struct world *w = e->w;
    struct buf header;
    buf_init(&header, PAWL_HEADER_MAX);
    if (msg_encode(m, &header) != OK)
        world_broken(w, "a peer said %s beyond the limits", msg_name(m->type));
    uint32_t times = world_fault(w, FAULT_TWICE) ? 2 : 1;
    for (uint32_t i = 0; i < times; i++) {
        struct packet *p = packet_new(buf_get(&header), frames, n);
        p->link = e->link;
        world_at(w, in_line(w, &e->out_us), at_broker, p, 0);
    }
    buf_fini(&header);
    if (world_fault(w, FAULT_CUT))
        end_relink(e);
}

enum { NOTICED_US = 300000 };

enum status wire_to_end(struct world *w, uint64_t link, struct str header, const struct str *frames,
                        uint32_t n)
{
    struct end *e = wire_end(w, link);
    if (!e)
        return ERR_NOT_FOUND;
    if (e->link != link) /* libzmq takes it as long as it has not noticed */
        return w->now_us - e->broken_us > NOTICED_US ? ERR_NOT_FOUND : OK;
    if (world_fault(w, FAULT_BUSY))
        return ERR_BUSY;
    struct packet *p = packet_new(header, frames, n);
    p->link = link;
    world_at(w, in_line(w, &e->in_us), at_end, p, 0);
    if (world_fault(w, FAULT_CUT))
        end_relink(e);
    return OK;
}

/* ---- faults that come by themselves ------------------------------------------------------- */

static void weather(struct world *w, void *ctx, uint64_t arg)
{
    (void)ctx;
    (void)arg;
    if (w->calm)
        return;
    if (world_fault(w, FAULT_STOP))
        host_stop(w->hosts[chance_below(w, w->conf.hosts)], chance_between(w, 100, 20000));
    if (world_fault(w, FAULT_STORE_DOWN))
        server_down(w->server, chance_between(w, 10, 5000));
    if (world_fault(w, FAULT_FAILOVER))
        server_fail_over(w->server);
    if (world_fault(w, FAULT_CLOCK)) {
        int64_t most = chance_below(w, 4) ? 5000 : 120000;
        w->wall_skew_ms += chance_between(w, -most, most);
    }
    world_in(w, 100000, weather, NULL, 0);
}

/* ---- one world ---------------------------------------------------------------------------- */

static void broken(void *ctx, const char *what)
{
    world_broken(ctx, "%s", what);
}

struct str server_look(void *ctx, const char *key, const char *field);

static void sizes(struct world *w)
{
    struct sim_conf *c = &w->conf;
    if (!c->projects)
        c->projects = 1 + chance_below(w, 3);
    if (!c->jobs)
        c->jobs = chance_below(w, 6) ? 3 + chance_below(w, chance_below(w, 4) ? 12 : 40) : 1;
    if (!c->workers)
        c->workers = 4 + chance_below(w, 8);
    if (!c->hosts)
        c->hosts = 1 + (chance_below(w, 3) == 0);
    /* Each seed has its own weather: some faults not at all, some more often. */
    for (int f = 0; f < FAULT_COUNT; f++) {
        uint32_t kind = chance_below(w, 4);
        c->rate[f] = kind == 0 ? 0 : kind == 3 ? c->rate[f] * 3 : c->rate[f];
    }
}

/* Shares and limits; a third of the worlds has none. */
static void set_rules(struct oracle_rules *r, uint64_t seed, bool large)
{
    static const uint32_t weights[] = { 1, 2, 6 };
    for (uint32_t i = 0; i < RULED_PROJECTS; i++)
        r->weight[i] = seed % 3 ? weights[(seed / 3 + i) % COUNT(weights)] : 1;
    if (seed % 3 == 1)
        r->limit[seed / 9 % 3] = 1 + (uint32_t)(seed / 27 % 4);
    if (seed % 3 == 2)
        r->stage_limit[seed / 9 % RULED_STAGES] = 1 + (uint32_t)(seed / 36 % 3);
    if (seed % 7 == 3)
        r->affinity_ms = 300 + (uint32_t)(seed / 7 % 4) * 900;
    if (seed % 5 == 2)
        r->stage_rate[seed / 5 % RULED_STAGES] = 20 + (uint32_t)(seed / 20 % 3) * 10;
    r->open_jobs = seed % 6 || large ? 10000 : 8;
    r->retain_jobs = seed % 3 || large ? 10000 : 6 + (uint32_t)(seed % 9);
    r->retain_age_ms = seed % 11 ? 86400000 : 300000;
}

static struct world *world_new(const struct sim_conf *conf)
{
    struct world *w = calloc(1, sizeof *w);
    assert(w);
    w->conf = *conf;
    w->chance = conf->seed * 0x9e3779b97f4a7c15u + 1;
    w->now_us = 1000000;
    the_world = w;
    sizes(w);
    w->server = server_new(w);
    set_rules(&w->rules, conf->seed, w->conf.jobs > 100);
    struct oracle_conf oc = { w, broken, server_look, w->rules };
    w->oracle = oracle_new(&oc);
    for (uint32_t i = 0; i < w->conf.hosts; i++)
        host_start(w->hosts[i] = host_new(w, i));
    w->workers = calloc(w->conf.workers, sizeof *w->workers);
    assert(w->workers);
    for (uint32_t i = 0; i < w->conf.workers; i++) /* two of all trades, the others of some */
        w->workers[i] = worker_new(w, i, i < 2 ? 63 : 1 + chance_below(w, 63));
    w->client = client_new(w, 0);
    world_in(w, 1000, weather, NULL, 0);
    return w;
}

static void world_free(struct world *w)
{
    while (w->queue_n) {
        struct happening h = take_next(w);
        if (h.fn == at_broker || h.fn == at_end)
            packet_free(h.ctx);
    }
    for (uint32_t i = 0; i < w->conf.hosts; i++)
        host_free(w->hosts[i]);
    for (uint32_t i = 0; i < w->conf.workers; i++)
        worker_free(w->workers[i]);
    client_free(w->client);
    server_free(w->server);
    oracle_free(w->oracle);
    free(w->workers);
    free(w->ends);
    free(w->queue);
    free(w);
}

static void step(struct world *w)
{
    struct happening h = take_next(w);
    w->now_us = h.at_us;
    w->steps++;
    h.fn(w, h.ctx, h.arg);
    if (w->conf.check_every && w->steps % w->conf.check_every == 0) {
        for (uint32_t i = 0; i < w->conf.hosts; i++)
            host_check(w->hosts[i]);
    }
}

/* Without faults everything comes to its end. */
static void calm(struct world *w)
{
    enum { STEPS_MAX = 600000 };
    const int64_t until = w->now_us + (int64_t)4 * 3600 * 1000000;
    w->calm = true;
    server_heal(w->server);
    for (uint32_t i = 0; i < w->conf.workers; i++)
        worker_calm(w->workers[i]);
    client_calm(w->client);
    uint64_t from = w->steps;
    while (oracle_open(w->oracle) > 0) {
        if (w->now_us > until || w->steps - from > STEPS_MAX || w->queue_n == 0) {
            char what[256];
            oracle_stuck(w->oracle, what, sizeof what);
            world_broken(w, "no progress since faults stopped: %s", what);
        }
        step(w);
    }
}

static void report(const struct world *w)
{
    struct oracle_counts n = oracle_counts(w->oracle);
    printf("seed %llu: %llu steps, %.0f s, %u jobs, %llu commits, %llu tasks, %llu results, "
           "%llu accepted %llu exhausted %llu failed %llu cancelled\n",
           (unsigned long long)w->conf.seed, (unsigned long long)w->steps,
           (double)w->now_us / 1e6, oracle_jobs(w->oracle), (unsigned long long)n.commits,
           (unsigned long long)n.tasks, (unsigned long long)n.committed,
           (unsigned long long)n.accepted,
           (unsigned long long)n.exhausted, (unsigned long long)n.failed,
           (unsigned long long)n.cancelled);
    if (!w->conf.trace)
        return;
    for (int f = 0; f < FAULT_COUNT; f++)
        fprintf(stderr, "%s %llu\n", fault_name((enum fault)f), (unsigned long long)w->told[f]);
}

bool world_run(const struct sim_conf *conf)
{
    struct world *w = world_new(conf);
    while (w->steps < conf->steps)
        step(w);
    if (conf->calm)
        calm(w);
    for (uint32_t i = 0; i < w->conf.hosts; i++)
        host_check(w->hosts[i]);
    report(w);
    world_free(w);
    return true;
}
