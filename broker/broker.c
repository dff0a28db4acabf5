/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/broker.h"

#include "common/endpoints.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEARTBEAT_MS = 2000,
    SILENCE_MS = 15000,
    HOT_JOBS = 1024,
    RETRY_FIRST_MS = 50,
    RETRY_MOST_MS = 1000,
    STEADY_MS = 5000, /* leading for this long, a loss is a new one */
    INFO_MS = 2000,
    SWEEP_MS = 60000,
    BLOB_AGE_MS = 3600000
};

void broker_complain(struct broker *b, const struct err *err)
{
    log_line(&b->log, LOG_ERROR, err->text, err->fix[0] ? "fix" : NULL, err->fix, NULL);
}

/* Time as the core is to see it: neither clock goes back. */
struct event broker_event(struct broker *b, enum event_kind kind)
{
    int64_t now = mono_now().ms, wall = wall_now().ms;
    b->now_ms = now > b->now_ms ? now : b->now_ms;
    b->wall_ms = wall > b->wall_ms ? wall : b->wall_ms;
    return (struct event){ .kind = kind, .now_ms = b->now_ms, .wall_ms = b->wall_ms };
}

void broker_step(struct broker *b, const struct event *ev)
{
    assert(b->core);
    core_step(b->core, ev, &b->fx);
}

/* ---- the store comes and goes ------------------------------------------------------------- */

static void set_reason(struct broker *b, const struct err *err)
{
    snprintf(b->state.reason, sizeof b->state.reason, "%s", err->text);
    snprintf(b->state.fix, sizeof b->state.fix, "%s",
             err->fix[0] ? err->fix : "pawl resumes by itself");
}

/* The chain of turns is broken: nothing that is in flight is said. Called from anywhere, also from
 * inside the store: the rest happens in the next turn of the loop. */
void broker_lost(struct broker *b, enum status st, const struct err *err)
{
    if (b->broken)
        return;
    b->broken = true;
    set_reason(b, err);
    log_line(&b->log, LOG_ERROR, err->text, "fix", b->state.fix, NULL);
    if (st == ERR_DENIED) { /* deposed: another broker leads, this one says nothing more */
        b->deposed = true;
        b->exit_code = status_exit(ERR_UNAVAILABLE);
        mux_stop(b->mux);
        return;
    }
    /* A store that is read but refuses what is written would have us reload without a pause. */
    bool again = b->led_ms && b->now_ms - b->led_ms < STEADY_MS;
    b->retry_ms = !again                            ? RETRY_FIRST_MS
                  : b->retry_ms * 2 < RETRY_MOST_MS ? b->retry_ms * 2
                                                    : RETRY_MOST_MS;
    mux_timer_in(b->mux, &b->retry, again ? b->retry_ms : 0);
}

void broker_renewed(void *ctx, int64_t sent_ms)
{
    struct broker *b = ctx;
    if (sent_ms + STORE_LEASE_MS > b->sure_until_ms)
        b->sure_until_ms = sent_ms + STORE_LEASE_MS;
}

bool broker_sure(struct broker *b)
{
    struct err err = { 0 };
    int64_t now = mono_now().ms;
    if (b->deposed)
        return false;
    if (now <= b->sure_until_ms)
        return true;
    if (b->broken || !b->core)
        return false;
    enum status st = b->store.ops->confirm(b->store.self, &err);
    if (st == OK)
        broker_renewed(b, now);
    else
        broker_lost(b, st, &err);
    return st == OK;
}

static void on_store_lost(void *ctx, const struct err *err)
{
    broker_lost(ctx, err->status, err);
}

static enum status load_pipeline(void *ctx, struct str bytes, struct err *err)
{
    return core_load_pipeline(ctx, bytes, err);
}

static enum status load_job(void *ctx, struct str bytes, struct err *err)
{
    return core_load_job(ctx, bytes, err);
}

static enum status take_lead(struct broker *b, struct err *err)
{
    enum status st;
    int64_t now = mono_now().ms;
    b->epoch = (struct epoch){ .incarnation = random_u64() >> 1 | 1 };
    if ((st = b->store.ops->lead(b->store.self, &b->epoch, err)) != OK)
        return st;
    b->sure_until_ms = now + STORE_LEASE_MS;
    b->core_conf.incarnation = b->epoch.incarnation;
    b->core_conf.seed = random_u64();
    b->core_conf.pipeline = buf_get(&b->pipeline);
    if (!(b->core = core_new(&b->core_conf, err)))
        return err->status ? err->status : ERR_INTERNAL;
    return b->store.ops->load(b->store.self, load_pipeline, load_job, b->core, err);
}

static void store_pipeline(struct broker *b)
{
    uint64_t id;
    struct str bytes = core_pipeline(b->core, &id);
    batch_pipeline(&b->batch, id, bytes);
}

/* A new epoch: lead, load everything, greet everybody. False: try again later, err says why. */
bool broker_recover(struct broker *b, struct err *err)
{
    core_free(b->core);
    b->core = NULL;
    effects_clear(&b->fx);
    loop_drop_turns(b, b->state.reason[0] ? b->state.reason : "the store cannot be reached");
    enum status st = take_lead(b, err);
    if (st != OK) {
        core_free(b->core);
        b->core = NULL;
        err->status = st;
        return false;
    }
    struct event ev = broker_event(b, EV_TICK);
    core_loaded(b->core, ev.now_ms, ev.wall_ms);
    b->fx.epoch = b->epoch.incarnation;
    b->turn_no = b->event_no = 0;
    /* before the first event of this epoch, after all earlier ones */
    snprintf(b->last_event, sizeof b->last_event, "%" PRIu64 "-0", b->epoch.generation);
    b->broken = false;
    b->state.up = true;
    b->state.reason[0] = b->state.fix[0] = '\0';
    b->next_info_ms = 0;
    mux_timer_in(b->mux, &b->renew, STORE_RENEW_MS);
    store_pipeline(b);
    broker_step(b, &ev);
    return true;
}

/* What the acknowledgements of this epoch mean, and what should be better. */
static void log_durability(struct broker *b)
{
    const struct store_report *r = store_redis_report(b->redis);
    if (r->lacks[0]) {
        struct err err = { 0 };
        err_set(&err, ERR_CONFIG, "Redis at %s may lose jobs: %s", store_redis_shown(b->redis),
                r->lacks);
        log_line(&b->log, LOG_WARN, err.text, "fix", r->fix, NULL);
    }
    if (r->unchecked)
        log_line(&b->log, LOG_WARN, "appendfsync cannot be checked: CONFIG GET is not permitted",
                 "fix", "ACL SETUSER … +config|get, or see to it yourself", NULL);
}

static void log_lead(struct broker *b)
{
    char jobs[24], epoch[48];
    snprintf(jobs, sizeof jobs, "%" PRIu64, core_counts(b->core).jobs);
    snprintf(epoch, sizeof epoch, "%" PRIu64 "-%016" PRIx64, b->epoch.generation,
             b->epoch.incarnation);
    log_line(&b->log, LOG_INFO, "leading", "store", store_redis_shown(b->redis), "epoch", epoch,
             "jobs", jobs, "durability", store_redis_report(b->redis)->level, NULL);
    log_durability(b);
}

static void on_retry(void *ctx)
{
    struct broker *b = ctx;
    struct err err = { 0 };
    b->state.up = false;
    b->counters.reloads++;
    if (broker_recover(b, &err)) {
        b->led_ms = b->now_ms;
        log_lead(b);
        conns_greet(b);
        watch_restart(b);
        return;
    }
    if (strcmp(err.text, b->state.reason) != 0)
        broker_complain(b, &err);
    set_reason(b, &err);
    b->broken = true;
    if (err.status == ERR_BUSY || err.status == ERR_CONFIG || err.status == ERR_DATA) {
        b->deposed = err.status == ERR_BUSY;
        b->exit_code = status_exit(b->deposed ? ERR_UNAVAILABLE : err.status);
        mux_stop(b->mux);
        return;
    }
    b->retry_ms = b->retry_ms * 2 < RETRY_MOST_MS ? b->retry_ms * 2 : RETRY_MOST_MS;
    mux_timer_in(b->mux, &b->retry, b->retry_ms);
}

/* ---- timers ------------------------------------------------------------------------------- */

static void on_due(void *ctx)
{
    struct broker *b = ctx;
    struct event ev = broker_event(b, EV_TICK);
    if (b->core && !b->broken)
        broker_step(b, &ev);
}

static uint64_t number(struct str s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    return v;
}

static void on_info(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct broker *b = ctx;
    for (uint32_t i = 0; st == OK && i + 1 < n; i += 2) {
        if (str_is(v[i], "redis_version"))
            snprintf(b->state.version, sizeof b->state.version, "%.*s", STR_ARG(v[i + 1]));
        else if (str_is(v[i], "run_id"))
            snprintf(b->state.run_id, sizeof b->state.run_id, "%.*s", STR_ARG(v[i + 1]));
        else if (str_is(v[i], "used_memory"))
            b->state.used_bytes = number(v[i + 1]);
        else if (str_is(v[i], "maxmemory"))
            b->state.max_bytes = number(v[i + 1]);
    }
}

static void every_so_often(struct broker *b)
{
    static const struct store_get info = { .kind = GET_INFO };
    if (b->now_ms >= b->next_info_ms) {
        b->next_info_ms = b->now_ms + INFO_MS;
        enum status st = b->store.ops->get(b->store.self, &info, on_info, b);
        (void)st; /* a loss is reported by its own way */
    }
    if (b->now_ms >= b->next_sweep_ms) {
        b->next_sweep_ms = b->now_ms + SWEEP_MS;
        batch_sweep(&b->batch, b->wall_ms - BLOB_AGE_MS);
    }
}

static void on_renew(void *ctx)
{
    struct broker *b = ctx;
    mux_timer_in(b->mux, &b->renew, STORE_RENEW_MS);
    if (b->core && !b->broken)
        b->store.ops->renew(b->store.self);
}

static void on_tick(void *ctx)
{
    struct broker *b = ctx;
    mux_timer_in(b->mux, &b->tick, TICK_MS);
    on_due(b);
    if (!b->core || b->broken)
        return;
    allow_look(b); /* also where the file system tells of no changes */
    conns_sweep(b);
    every_so_often(b);
    watch_catch_up(b);
}

static void on_auth(void *ctx, void *socket)
{
    struct broker *b = ctx;
    (void)socket;
    peer_auth(b->peer);
}

static void on_signal(void *ctx, int signo)
{
    struct broker *b = ctx;
    log_line(&b->log, LOG_INFO, "stopping", "signal", signo == SIGTERM ? "TERM" : "INT", NULL);
    b->stopping = true;
    mux_stop(b->mux);
}

/* ---- start and stop ----------------------------------------------------------------------- */

static void fill_core_conf(struct broker *b)
{
    const struct conf *c = b->conf;
    b->core_conf = (struct core_conf){
        .budget = { .rounds = (uint32_t)conf_int(c, CONF_LOOP_ROUNDS),
                    .patience = (uint32_t)conf_int(c, CONF_LOOP_PATIENCE),
                    .measures = (uint32_t)conf_int(c, CONF_LOOP_MEASURES),
                    .judge = (uint32_t)conf_int(c, CONF_LOOP_JUDGE),
                    .tokens = (uint64_t)conf_int(c, CONF_LOOP_TOKENS),
                    .wall_ms = conf_int(c, CONF_LOOP_WALL),
                    .question_ms = conf_int(c, CONF_LOOP_QUESTION) },
        .heartbeat_ms = HEARTBEAT_MS,
        .silence_ms = SILENCE_MS,
        .retain_jobs = (uint32_t)conf_int(c, CONF_RETAIN_JOBS),
        .retain_age_ms = conf_int(c, CONF_RETAIN_AGE),
        .open_jobs_max = (uint32_t)conf_int(c, CONF_LIMIT_OPEN_JOBS),
        .hot_jobs = HOT_JOBS,
        .rules = b->sched.rules,
    };
}

static enum status check_number(struct broker *b, enum conf_key k, int64_t least, int64_t most,
                                struct err *err)
{
    int64_t v = conf_int(b->conf, k);
    if (v >= least && v <= most)
        return OK;
    return err_set(err, ERR_CONFIG, "%s: %s: from %" PRId64 " to %" PRId64 ", not %" PRId64,
                   conf_origin(b->conf, k), conf_path(k), least, most, v);
}

static enum status check_conf(struct broker *b, struct err *err)
{
    static const struct {
        enum conf_key key;
        int64_t least, most;
    } limits[] = {
        { CONF_LOOP_ROUNDS, 1, PAWL_ROUNDS_MAX },
        { CONF_LOOP_PATIENCE, 1, PAWL_ROUNDS_MAX },
        { CONF_LOOP_MEASURES, 0, 1000 },
        { CONF_LOOP_JUDGE, 0, 1000 },
        { CONF_LOOP_TOKENS, 1, (int64_t)1 << 40 },
        { CONF_LOOP_WALL, 1, (int64_t)1 << 40 },
        { CONF_LOOP_QUESTION, 1, (int64_t)1 << 40 },
        { CONF_RETAIN_JOBS, 0, 100000000 },
        { CONF_RETAIN_AGE, 0, (int64_t)1 << 45 },
        { CONF_RETAIN_EVENTS, 1, 100000000 },
        { CONF_LIMIT_OPEN_JOBS, 1, 100000000 },
        { CONF_REDIS_REPLICAS, 0, 100 },
    };
    enum status st = OK;
    for (size_t i = 0; st == OK && i < COUNT(limits); i++)
        st = check_number(b, limits[i].key, limits[i].least, limits[i].most, err);
    return st;
}

static enum status open_store(struct broker *b, struct err *err)
{
    const char *url = conf_str(b->conf, CONF_REDIS_URL);
    struct store_redis_conf conf = { url, "pawl:{s0}:", conf_endpoint(b->conf),
                                     conf_str(b->conf, CONF_REDIS_DURABILITY),
                                     (int)conf_int(b->conf, CONF_REDIS_REPLICAS) };
    struct store_events events = { b, loop_committed, on_store_lost, broker_renewed };
    if (!url[0]) {
        err_set(err, ERR_CONFIG, "redis.url is not set");
        err_fix(err, "use `pawl up`, which starts a private Redis, or set redis.url");
        return ERR_CONFIG;
    }
    if (!(b->redis = store_redis_new(&conf, b->mux, &events, err)))
        return ERR_CONFIG;
    b->store = store_redis_ops(b->redis);
    return OK;
}

/* Redis may be starting too, and the lease of a leader that died elsewhere has to run out: wait,
 * saying so, but not for ever. */
static enum status wait_store(struct broker *b, int64_t wait_ms, struct err *err)
{
    int64_t until = mono_now().ms + wait_ms, delay = RETRY_FIRST_MS;
    char said[sizeof err->text] = "";
    for (;;) {
        memset(err, 0, sizeof *err);
        if (broker_recover(b, err))
            return OK;
        bool again = err->status == ERR_UNAVAILABLE ||
                     (err->status == ERR_BUSY && strstr(err->fix, "lease"));
        if (!again || b->stopping || mono_now().ms + delay > until)
            return err->status == ERR_BUSY ? ERR_UNAVAILABLE : err->status;
        if (strcmp(said, err->text) != 0)
            log_line(&b->log, LOG_WARN, err->text, "fix", err->fix, NULL);
        memcpy(said, err->text, sizeof said);
        int64_t next = mono_now().ms + delay;
        while (!b->stopping && mono_now().ms < next) {
            struct err turn = { 0 };
            if (mux_turn(b->mux, next - mono_now().ms, &turn) != OK)
                return err_set(err, turn.status, "%s", turn.text);
        }
        delay = delay * 2 < RETRY_MOST_MS ? delay * 2 : RETRY_MOST_MS;
    }
}

static enum status check_endpoint(struct broker *b, struct peer_keys *keys, struct err *err)
{
    const char *endpoint = conf_endpoint(b->conf), *allow = conf_str(b->conf, CONF_BROKER_ALLOW);
    enum status st = endpoint_one(endpoint, err);
    if (st == OK)
        st = conf_keys(b->conf, true, keys, err);
    return st == OK ? access_bind(endpoint, keys, allow, err) : st;
}

enum status broker_listen(struct broker *b, struct err *err)
{
    struct peer_keys keys = { 0 };
    const char *endpoint = conf_endpoint(b->conf), *allow = conf_str(b->conf, CONF_BROKER_ALLOW);
    enum status st = check_endpoint(b, &keys, err);
    if (st != OK)
        return st;
    if (!(b->peer = peer_bind(endpoint, &keys, allow[0] ? allow : NULL, err)))
        return err->status;
    if (peer_auth_socket(b->peer) && allow[0])
        allow_watch(b, allow);
    if (peer_auth_socket(b->peer))
        st = mux_socket(b->mux, peer_auth_socket(b->peer), on_auth, b);
    return st == OK ? OK : err_set(err, st, "the loop cannot watch the endpoint");
}

void broker_unlisten(struct broker *b)
{
    if (!b->peer)
        return;
    if (peer_auth_socket(b->peer))
        mux_socket_remove(b->mux, peer_auth_socket(b->peer));
    allow_close(b);
    peer_close(b->peer);
    b->peer = NULL;
}

void broker_init(struct broker *b)
{
    b->flying_end = &b->flying;
    b->allow_fd = -1;
    b->started_ms = wall_now().ms;
    b->tick = MUX_TIMER(on_tick, b);
    b->due = MUX_TIMER(on_due, b);
    b->retry = MUX_TIMER(on_retry, b);
    b->renew = MUX_TIMER(on_renew, b);
    effects_init(&b->fx, 0);
    buf_init(&b->pipeline, 256 * 1024);
    batch_init(&b->batch, &b->epoch, &b->event_no, 0, 0);
}

/* The endpoint before the store: two brokers of one machine are told apart at once. */
static enum status come_to_lead(struct broker *b, const struct broker_options *o, struct err *err)
{
    struct peer_keys keys = { 0 };
    enum status st = check_endpoint(b, &keys, err);
    if (st != OK)
        return st;
    if (o->standby)
        return standby_lead(b, err);
    if ((st = broker_listen(b, err)) != OK)
        return st;
    return wait_store(b, o->wait_store_ms, err);
}

static enum status broker_open(struct broker *b, const struct broker_options *o, struct err *err)
{
    enum status st;
    if ((st = check_conf(b, err)) != OK ||
        (st = pipeline_from_conf(b->conf, &b->pipeline, err)) != OK ||
        (st = sched_from_conf(b->conf, &b->sched, err)) != OK)
        return st;
    fill_core_conf(b);
    conns_room(b);
    if (!(b->mux = mux_new(err)))
        return err->status;
    /* Before ZeroMQ starts its thread, so that the thread inherits the mask. */
    if ((st = mux_signal(b->mux, SIGTERM, on_signal, b)) != OK ||
        (st = mux_signal(b->mux, SIGINT, on_signal, b)) != OK)
        return err_set(err, st, "signals cannot be caught");
    if ((st = open_store(b, err)) != OK || (st = come_to_lead(b, o, err)) != OK || b->stopping)
        return b->stopping ? OK : st;
    /* Nobody was heard before the jobs were loaded. */
    if ((st = mux_socket(b->mux, peer_socket(b->peer), loop_on_socket, b)) != OK)
        return st;
    log_lead(b);
    log_line(&b->log, LOG_INFO, "ready", "endpoint", peer_endpoint(b->peer), NULL);
    mux_after(b->mux, loop_seal, b);
    mux_timer_in(b->mux, &b->tick, 0);
    return OK;
}

/* What was heard before the signal is made durable and answered. */
static void flush(struct broker *b)
{
    struct err err;
    int64_t until = mono_now().ms + 2000;
    mux_socket_remove(b->mux, peer_socket(b->peer));
    while (b->core && !b->broken && b->flying && mono_now().ms < until) {
        if (mux_turn(b->mux, 50, &err) != OK)
            return;
    }
    mux_after(b->mux, NULL, NULL);
    if (b->core && !b->broken)
        b->store.ops->resign(b->store.self);
}

void broker_close(struct broker *b)
{
    b->broken = true;
    watch_free(b);
    doc_cache_clear(&b->docs);
    store_redis_free(b->redis);
    core_free(b->core);
    b->core = NULL;
    if (b->peer)
        loop_drop_turns(b, "the broker is stopping");
    conns_free(b);
    allow_close(b);
    peer_close(b->peer);
    mux_free(b->mux);
    effects_fini(&b->fx);
    batch_fini(&b->batch);
    buf_fini(&b->pipeline);
    sched_conf_free(&b->sched);
}

static int run(struct broker *b, const struct broker_options *o)
{
    struct err err = { 0 };
    enum status st = broker_open(b, o, &err);
    if (st == OK && !b->stopping) {
        st = mux_run(b->mux, &err);
        if (st == OK)
            flush(b);
    }
    if (st != OK) {
        err.status = st;
        broker_complain(b, &err);
        b->exit_code = status_exit(st);
    }
    broker_close(b);
    return b->exit_code;
}

static int lead_once(const struct broker_options *o, bool *deposed)
{
    struct conf *conf = NULL;
    struct err err = { 0 };
    struct broker *b = calloc(1, sizeof *b);
    if (!b)
        return status_exit(ERR_NOMEM);
    log_init(&b->log, "broker", "info", false);
    enum status st = conf_load(&conf, o->config, o->flags, o->flags_n, &err);
    if (st != OK) {
        broker_complain(b, &err);
        free(b);
        return status_exit(st);
    }
    log_init(&b->log, "broker", conf_str(conf, CONF_LOG_LEVEL),
             strcmp(conf_str(conf, CONF_LOG_FORMAT), "json") == 0);
    b->conf = conf;
    broker_init(b);
    int code = run(b, o);
    *deposed = b->deposed;
    conf_free(conf);
    free(b);
    return code;
}

int broker_main(const struct broker_options *o)
{
    bool deposed;
    int code;
    do {
        deposed = false;
        code = lead_once(o, &deposed);
    } while (deposed && o->standby);
    return code;
}
