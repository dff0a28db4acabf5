/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core_in.h"

#include "broker/policy.h"
#include "broker/retry.h"
#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- life --------------------------------------------------------------------------------- */

static enum status take_pipeline(struct core *c, struct pipeline *p, struct err *err)
{
    for (uint32_t i = 0; i < p->stages_n; i++) {
        p->stages[i].lane = lane_of(c, p->stages[i].name);
        if (p->stages[i].lane == LANES_MAX) {
            pipeline_free(p);
            return err_set(err, ERR_LIMIT, "more than %d different stages in all pipelines",
                           LANES_MAX);
        }
    }
    if (!idmap_put(&c->pipelines, p->id, p)) {
        pipeline_free(p);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    return OK;
}

enum status core_load_pipeline(struct core *c, struct str bytes, struct err *err)
{
    if (halts_are(bytes))
        return halts_load(c, bytes, err);
    struct pipeline *p = pipeline_decode(bytes, err);
    if (!p)
        return err->status;
    if (idmap_get(&c->pipelines, p->id)) {
        pipeline_free(p);
        return OK;
    }
    return take_pipeline(c, p, err);
}

static enum status load_lanes(struct core *c, struct err *err)
{
    struct buf b;
    buf_init(&b, 65536);
    enum status st = pipeline_lanes(&b);
    if (st == OK)
        c->lanes_pipe = pipeline_decode(buf_get(&b), err);
    buf_fini(&b);
    if (!c->lanes_pipe)
        return ERR_INTERNAL;
    assert(c->lanes_pipe->stages_n == 2); /* call, ask: in the order of stages.def */
    return take_pipeline(c, c->lanes_pipe, err);
}

struct core *core_new(const struct core_conf *conf, struct err *err)
{
    struct core *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    assert(conf->incarnation != 0);
    c->conf = *conf;
    timer_heap_init(&c->timers);
    timer_heap_init(&c->ended);
    struct pipeline *p = NULL;
    if (homes_init(c) && load_lanes(c, err) == OK && (p = pipeline_decode(conf->pipeline, err)) != NULL &&
        take_pipeline(c, p, err) == OK) {
        c->pipe = p;
        c->conf.pipeline = (struct str){ p->bytes, p->bytes_n };
        return c;
    }
    core_free(c);
    return NULL;
}

static void forget_calls(struct core *c, struct task *t)
{
    while (t->calls)
        call_free(c, t->calls);
}

static void free_job(struct core *c, struct job *j)
{
    forget_calls(c, &j->main);
    if (j->main.def)
        task_idle(c, &j->main);
    timer_stop(&c->timers, &j->main.timer);
    for (struct task *t = j->asks; t; t = t->next) {
        forget_calls(c, t);
        if (t->def)
            task_idle(c, t);
    }
    heap_remove(job_state_ended(j->state) ? &c->ended : &c->timers, &j->wall);
    job_free(j);
}

static void free_item(struct core *c, void *item)
{
    if (!item_is_cold(item)) {
        free_job(c, item);
        return;
    }
    struct cold *k = item_cold(item);
    queue_remove_cold(&c->lanes[k->lane].ready, k);
    free(k);
}

void core_free(struct core *c)
{
    if (!c)
        return;
    size_t at = 0;
    void *item;
    while ((item = idmap_next(&c->jobs, &at)) != NULL)
        free_item(c, item);
    idmap_fini(&c->jobs);
    roster_free(c);
    struct pipeline *p;
    at = 0;
    while ((p = idmap_next(&c->pipelines, &at)) != NULL)
        pipeline_free(p);
    idmap_fini(&c->pipelines);
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        timer_stop(&c->timers, &c->lanes[i].rate);
        queue_fini(&c->lanes[i].ready);
        heap_fini(&c->lanes[i].seats);
    }
    prefix_fini(&c->by_prefix);
    projects_free(c);
    free(c->dirty);
    free(c->warm);
    models_free(&c->models);
    free(c->halts);
    free(c->homes);
    heap_fini(&c->timers);
    heap_fini(&c->ended);
    free(c);
}

/* ---- recovery ----------------------------------------------------------------------------- */

const struct pipeline *core_find_pipeline(void *ctx, uint64_t id)
{
    struct core *c = ctx;
    return idmap_get(&c->pipelines, id);
}

enum status core_load_job(struct core *c, struct str record, struct err *err)
{
    struct job *j = record_decode(record, core_find_pipeline, c, err);
    if (!j)
        return err->status;
    bool whole = j->stage < j->pipe->stages_n;
    if (!record_fits(j) || idmap_get(&c->jobs, j->id) || !idmap_put(&c->jobs, j->id, j)) {
        char id[ID_CHARS + 1];
        id_text(j->id, id);
        job_free(j);
        return err_set(err, ERR_DATA, "record of job %s: its parts do not fit together", id);
    }
    if (!prefix_put(&c->by_prefix, j)) {
        idmap_remove(&c->jobs, j->id);
        job_free(j);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    if (core_load_cold(c, j, record))
        return OK;
    j->project_no = project_of(c, j->project)->no;
    j->main.def = &j->pipe->stages[whole ? j->stage : j->pipe->stages_n - 1];
    for (struct task *t = j->asks; t; t = t->next)
        t->def = &c->lanes_pipe->stages[1];
    return OK;
}

/* Is it the chosen start that it is delayed until? */
static bool waits_for_start(const struct task *t, int64_t due_ms)
{
    return t->kind == TASK_STAGE && t->job->start_ms != 0 && due_ms == t->job->start_ms &&
           !job_begun(t->job);
}

static void arm_task(struct core *c, struct task *t)
{
    enum task_phase phase = t->phase;
    uint64_t age = t->age;
    int64_t due = t->due_ms;
    t->phase = PHASE_IDLE;
    if (phase == PHASE_READY) {
        uint64_t newest = c->ages;
        c->ages = age > 0 ? age - 1 : 0;
        task_ready(c, t);
        c->ages = newest > age ? newest : age;
    } else if (phase == PHASE_LEASED) {
        lease_attach(c, t, NULL, t->fence);
    } else if (phase == PHASE_DELAYED) {
        int64_t left = due > c->wall_ms ? due - c->wall_ms : 0;
        if (waits_for_start(t, due))
            task_delay_until(c, t, due);
        else
            task_delay(c, t, left < DELAY_MAX_MS ? left : DELAY_MAX_MS); /* the clock may have jumped */
    }
}

static void arm(struct core *c, struct job *j)
{
    arm_task(c, &j->main);
    for (struct task *t = j->asks; t; t = t->next)
        arm_task(c, t);
    if (job_state_ended(j->state)) {
        timer_set(&c->ended, &j->wall, TIMER_WALL, j->ended_ms);
        c->ended_ms = j->ended_ms > c->ended_ms ? j->ended_ms : c->ended_ms;
        return;
    }
    c->counts.by_state[j->state]++;
    job_wall_check(c, j);
    if (j->state != JOB_WAITING)
        return;
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < j->questions_n; i++) {
        if (!j->questions[i].settled && j->questions[i].due_ms < due)
            due = j->questions[i].due_ms;
    }
    timer_set(&c->timers, &j->main.timer, TIMER_QUESTION,
              c->now_ms + (due > c->wall_ms ? due - c->wall_ms : 0));
}

void core_loaded(struct core *c, int64_t now_ms, int64_t wall_ms)
{
    c->now_ms = now_ms;
    c->wall_ms = wall_ms;
    c->stall_ms = INT64_MIN;
    halts_apply(c);
    size_t at = 0;
    void *item;
    while ((item = idmap_next(&c->jobs, &at)) != NULL) {
        if (item_is_cold(item))
            core_arm_cold(c, item_cold(item));
        else
            arm(c, item);
    }
}

struct str core_pipeline(const struct core *c, uint64_t *id)
{
    *id = c->pipe->id;
    return c->conf.pipeline;
}

enum { STALL_BEATS = 2 }; /* the shell ticks more often than that */

/* ---- the step ----------------------------------------------------------------------------- */

/* Nobody was silent while nobody listened: what came due during a stall of the broker, or will
 * before it has read what waits, begins anew. */
static bool unheard(const struct core *c, const struct timer *t)
{
    return t->at_ms <= c->stall_ms;
}

static void on_lease_due(struct core *c, struct task *t, struct effects *fx)
{
    static const char late[] = "it ran longer than its stage allows";
    if (c->now_ms < t->until_ms) {
        lease_lost(c, t,
                   t->named ? "nothing was heard of it for too long"
                            : "its worker did not begin it in time",
                   fx);
        return;
    }
    if (t->kind != TASK_CALL)
        tell_end(c, t, "expired", str_of(late), (struct task_cost){ 0 }, fx);
    task_drop(c, t, "expired", fx);
    task_charge(c, t, "retryable", str_of(late), fx);
}

static void on_delay_over(struct core *c, struct task *t, struct effects *fx)
{
    t->timer.slot = HEAP_NONE;
    if (waits_for_start(t, t->due_ms) && t->due_ms > c->wall_ms) {
        task_delay_until(c, t, t->due_ms);
        return;
    }
    if (t->kind == TASK_STAGE)
        job_move(c, t->job, JOB_QUEUED, "the delay is over", fx);
    task_ready(c, t);
}

static void on_wall_over(struct core *c, struct job *j, struct effects *fx)
{
    job_end(c, j, policy_end_state(j), "the wall time is spent", fx);
}

static void renew(struct core *c, struct timer *t)
{
    if (t->kind == TIMER_PEER) {
        timer_set(&c->timers, t, TIMER_PEER, c->now_ms + c->conf.silence_ms);
        return;
    }
    struct task *task = t->owner;
    if (task->until_ms <= c->stall_ms)
        task->until_ms = c->now_ms + task->def->silence_ms;
    lease_extend(c, task);
}

static void expire(struct core *c, struct effects *fx)
{
    struct timer *t;
    while ((t = heap_top(&c->timers)) != NULL && t->at_ms <= c->now_ms) {
        if ((t->kind == TIMER_LEASE || t->kind == TIMER_PEER) && unheard(c, t)) {
            renew(c, t);
            continue;
        }
        heap_remove(&c->timers, t);
        switch (t->kind) {
        case TIMER_LEASE: on_lease_due(c, t->owner, fx); break;
        case TIMER_DELAY: on_delay_over(c, t->owner, fx); break;
        case TIMER_QUESTION: questions_due(c, ((struct task *)t->owner)->job, fx); break;
        case TIMER_WALL: on_wall_over(c, t->owner, fx); break;
        case TIMER_KEPT: home_return(c, t->owner); break;
        case TIMER_RATE: break; /* what it lets out is given out below */
        case TIMER_PEER:
            roster_gone(c, t->owner, "nothing was heard of its worker for too long", fx);
            break;
        }
    }
}

static void on_tokens(struct core *c, const struct event *ev, struct effects *fx)
{
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, ev->msg->TOKENS.task, &k, &j);
    if (t && t->kind != TASK_CALL && t->phase == PHASE_LEASED && t->peer == ev->peer)
        tell_tokens(c, t, &ev->msg->TOKENS, fx);
}

static void on_ping(struct core *c, const struct event *ev, struct effects *fx)
{
    struct msg m = { .type = MSG_PONG, .PONG = { ev->msg->PING.req } };
    (void)c;
    say(fx, ev->peer, &m, false);
}

typedef void handler(struct core *c, const struct event *ev, struct effects *fx);

enum who { ANYBODY, WORKER };

static const struct {
    enum msg_type type;
    enum who who;
    handler *fn;
} handlers[] = {
    { MSG_READY, WORKER, on_ready },      { MSG_BEAT, WORKER, on_beat },
    { MSG_STEP, WORKER, on_step },        { MSG_DONE, WORKER, on_done },
    { MSG_FAIL, WORKER, on_fail },        { MSG_RELEASE, WORKER, on_release },
    { MSG_TOKENS, WORKER, on_tokens },    { MSG_CALL, WORKER, on_call },
    { MSG_BYE, ANYBODY, on_bye },         { MSG_PING, ANYBODY, on_ping },
    { MSG_SUBMIT_ALL, ANYBODY, on_submit_all },
    { MSG_SUBMIT, ANYBODY, on_submit },   { MSG_ANSWER, ANYBODY, on_answer },
    { MSG_COMMENT, ANYBODY, on_comment }, { MSG_ASK, ANYBODY, on_ask },
    { MSG_CANCEL, ANYBODY, on_cancel },   { MSG_RETRY, ANYBODY, on_retry },
    { MSG_PAUSE, ANYBODY, on_pause },
};

/* Every request begins with its number. */
static uint64_t request_number(const struct msg *m)
{
    return m->type >= MSG_SUBMIT || m->type == MSG_PING ? m->PING.req : 0;
}

static void on_message(struct core *c, const struct event *ev, struct effects *fx)
{
    if (ev->msg->type == MSG_HELLO) {
        on_hello(c, ev, fx);
        return;
    }
    uint64_t req = request_number(ev->msg);
    struct peer_state *p = roster_find(c, ev->peer);
    if (!p) {
        say_refused(fx, ev->peer, req, ERR_PROTOCOL, "unknown peer: say HELLO", "");
        return;
    }
    p->heard_ms = c->now_ms;
    timer_set(&c->timers, &p->timer, TIMER_PEER, c->now_ms + c->conf.silence_ms);
    for (size_t i = 0; i < COUNT(handlers); i++) {
        if (handlers[i].type != ev->msg->type)
            continue;
        if (handlers[i].who == WORKER && !p->worker)
            say_refused(fx, ev->peer, req, ERR_PROTOCOL, "only a worker says that",
                        "HELLO with role worker");
        else
            handlers[i].fn(c, ev, fx);
        return;
    }
    say_refused(fx, ev->peer, req, ERR_PROTOCOL, "not a message for the broker", "");
}

static void on_unsent(struct core *c, const struct event *ev, struct effects *fx)
{
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, ev->task, &k, &j);
    struct peer_state *p = roster_find(c, ev->peer);
    if (p) {
        p->full = true;
        if (t && fence_eq(t->fence, ev->fence) && t->peer == p->id)
            roster_unsent(p, t->seq);
        roster_sort(c, p);
    }
    if (!t || t->phase != PHASE_LEASED || !fence_eq(t->fence, ev->fence))
        return;
    calls_cancel(c, t, fx);
    task_idle(c, t);
    if (t->kind != TASK_CALL)
        job_touch(c, j);
    if (t->kind == TASK_STAGE && j->hold) {
        j->hold = false;
        job_move(c, j, JOB_PAUSED, "paused", fx);
        return;
    }
    if (t->kind == TASK_STAGE)
        job_move(c, j, JOB_QUEUED, "it could not be sent", fx);
    task_ready(c, t);
}

void core_step(struct core *c, const struct event *ev, struct effects *fx)
{
    assert(ev->now_ms >= c->now_ms);
    if (ev->now_ms - c->now_ms > STALL_BEATS * c->conf.heartbeat_ms)
        c->stall_ms = ev->now_ms + c->conf.heartbeat_ms;
    c->now_ms = ev->now_ms;
    c->wall_ms = ev->wall_ms > c->wall_ms ? ev->wall_ms : c->wall_ms;
    switch (ev->kind) {
    case EV_TICK: break;
    case EV_MSG: on_message(c, ev, fx); break;
    case EV_GONE: on_gone(c, ev, fx); break;
    case EV_UNSENT: on_unsent(c, ev, fx); break;
    }
    expire(c, fx);
    lease_match(c, fx);
    core_retain(c, fx);
}

/* ---- sealing a turn ----------------------------------------------------------------------- */

static void seal_job(struct core *c, struct job *j, struct effects *fx)
{
    uint32_t want = index_bits(j);
    uint64_t expect = j->version;
    uint32_t known = j->indexed & ~(1u << INDEX_NO_ENDED); /* that place may be another one now */
    uint32_t add = want & ~known, del = j->indexed & ~want;
    j->version++;
    j->indexed = want;
    struct buf *b = effects_scratch(fx, RECORD_MAX);
    record_encode(j, b);
    struct str bytes = effects_copy(fx, buf_get(b)), workspace = { 0 };
    fx->failed = fx->failed || b->status != OK;
    if (!j->known && j->has_workspace) {
        struct hash h;
        char hex[HASH_HEX + 1];
        memcpy(h.b, j->workspace, sizeof h.b);
        hash_hex(&h, hex);
        workspace = effects_copy(fx, str_of(hex));
    }
    struct fx *f = effects_add(fx, FX_RECORD);
    f->job = j->id;
    f->bytes = bytes;
    f->workspace = workspace;
    f->expect = expect;
    f->version = j->version;
    f->add = add;
    f->del = del;
    f->created_ms = j->created_ms;
    f->changed_ms = j->ended_ms ? j->ended_ms : j->updated_ms;
    j->known = true;
    j->dirty = false;
    if (!fx->failed)
        core_freeze(c, j, bytes);
}

void core_seal(struct core *c, struct effects *fx)
{
    core_cool(c); /* before those that changed: they are frozen, and freed, when they are sealed */
    for (uint32_t i = 0; i < c->dirty_n; i++) {
        if (c->dirty[i])
            seal_job(c, c->dirty[i], fx);
    }
    c->dirty_n = 0;
}

int64_t core_deadline(const struct core *c)
{
    const struct timer *t = heap_top(&c->timers);
    return t ? t->at_ms : INT64_MAX;
}

/* ---- reading ------------------------------------------------------------------------------ */

bool core_stage_at(const struct core *c, uint32_t i, struct core_stage *out)
{
    if (i >= c->lanes_n)
        return false;
    const struct lane *l = &c->lanes[i];
    *out = (struct core_stage){
        .name = l->name,
        .ready = l->ready.len + l->kept,
        .running = l->running,
        .delayed = l->delayed,
        .limit = l->rule ? l->rule->limit : 0,
        .paused = l->paused,
    };
    for (const struct peer_state *p = c->workers; p; p = p->next) {
        if (!(p->serves >> i & 1))
            continue;
        out->workers++;
        out->slots += p->slots;
        out->credit += roster_credit(p);
    }
    return true;
}

struct core_counts core_counts(const struct core *c)
{
    struct core_counts n = c->counts;
    n.ended = c->ended.len;
    n.jobs = c->jobs.len;
    return n;
}

const struct job *core_job(struct core *c, uint64_t id)
{
    return core_get(c, id);
}

bool core_leased(struct core *c, struct str task, struct fence fence)
{
    struct task_key k;
    struct job *j;
    const struct task *t = core_task(c, task, &k, &j);
    return t && t->phase == PHASE_LEASED && fence_eq(t->fence, fence);
}

bool core_peer_known(const struct core *c, uint64_t peer)
{
    return roster_find(c, peer) != NULL;
}

bool core_peer_worker(const struct core *c, uint64_t peer)
{
    const struct peer_state *p = roster_find(c, peer);
    return p && p->worker;
}

void core_peer_heard(struct core *c, uint64_t peer, int64_t now_ms)
{
    struct peer_state *p = roster_find(c, peer);
    if (!p)
        return;
    p->heard_ms = now_ms > c->now_ms ? now_ms : c->now_ms;
    timer_set(&c->timers, &p->timer, TIMER_PEER, p->heard_ms + c->conf.silence_ms);
}

static bool may_see(const struct core *c, const void *item, struct str access)
{
    if (access.n == 0)
        return true;
    return str_is(access, item_is_cold(item) ? c->projects[item_cold(item)->project_no]->name
                                             : ((const struct job *)item)->project);
}

enum status core_find(const struct core *c, struct str prefix, struct str access, uint64_t *id)
{
    enum { PREFIX_MIN = 4 };
    void *item = NULL, *found = NULL;
    if (id_parse(prefix, id)) {
        item = idmap_get(&c->jobs, *id);
        return item && may_see(c, item, access) ? OK : ERR_NOT_FOUND;
    }
    if (prefix.n < PREFIX_MIN || prefix.n > ID_CHARS)
        return ERR_NOT_FOUND;
    char whole[ID_CHARS + 1] = "000000000000";
    uint64_t first;
    memcpy(whole, prefix.p, prefix.n);
    if (!id_parse(str_of(whole), &first))
        return ERR_NOT_FOUND;
    for (item = prefix_chain(&c->by_prefix, first); item; item = prefix_next(item)) {
        char text[ID_CHARS + 1];
        id_text(item_id(item), text);
        if (memcmp(text, prefix.p, prefix.n) != 0 || !may_see(c, item, access))
            continue;
        if (found)
            return ERR_DATA;
        found = item;
    }
    *id = found ? item_id(found) : 0;
    return found ? OK : ERR_NOT_FOUND;
}
