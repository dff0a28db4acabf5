/* SPDX-License-Identifier: Apache-2.0 */
/* lease: tasks in the hands of workers. A lease ends by a result, by RELEASE, by a deadline or with
 * its worker; it is extended only by a BEAT that names it. Deadlines live in memory (rule 5). */
#include "broker/core_in.h"

#include "broker/retry.h"
#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TASK_HEADER_MAX = 32768, START_LOOK_MS = 10000 };

void task_init(struct task *t, enum task_kind kind, struct job *j, const struct stage_def *def)
{
    *t = (struct task){
        .kind = kind, .job = j, .def = def, .run = j->run, .round = j->round, .rank.slot = HEAP_NONE
    };
    t->timer = (struct timer){ .slot = HEAP_NONE, .owner = t };
}

static void unlink_lease(struct core *c, struct task *t)
{
    struct peer_state *p = t->peer ? roster_find(c, t->peer) : NULL;
    if (!p)
        return;
    if (t->lease_prev)
        t->lease_prev->lease_next = t->lease_next;
    else
        p->leases = t->lease_next;
    if (t->lease_next)
        t->lease_next->lease_prev = t->lease_prev;
    t->lease_prev = t->lease_next = NULL;
    p->leases_n--;
    t->peer = 0;
}

/* Out of its phase, whichever that is; counts are kept here and nowhere else. */
void task_idle(struct core *c, struct task *t)
{
    struct lane *lane = &c->lanes[t->def->lane];
    if (t->phase == PHASE_IDLE)
        return;
    if (t->phase == PHASE_READY) {
        sched_unqueue(c, t);
    } else if (t->phase == PHASE_DELAYED) {
        lane->delayed--;
    } else {
        sched_let_go(c, t);
        unlink_lease(c, t);
        free(t->note);
        t->note = NULL;
    }
    timer_stop(&c->timers, &t->timer);
    t->phase = PHASE_IDLE;
}

void task_drop(struct core *c, struct task *t, const char *reason, struct effects *fx)
{
    calls_cancel(c, t, fx);
    if (t->phase == PHASE_LEASED && t->peer) {
        char key[PAWL_KEY_MAX + 1];
        task_key_write(t, key);
        say_drop(fx, t->peer, str_of(key), t->fence, reason);
    }
    if (t->def)
        task_idle(c, t);
}

void task_ready(struct core *c, struct task *t)
{
    task_idle(c, t);
    t->phase = PHASE_READY;
    t->age = ++c->ages;
    t->kept_until = 0;
    sched_queue(c, t);
}

void task_delay(struct core *c, struct task *t, int64_t delay_ms)
{
    assert(delay_ms >= 0);
    task_idle(c, t);
    t->phase = PHASE_DELAYED;
    t->due_ms = c->wall_ms + delay_ms;
    c->lanes[t->def->lane].delayed++;
    timer_set(&c->timers, &t->timer, TIMER_DELAY, c->now_ms + delay_ms);
}

/* A time of day, not a span: looked at again and again, since the wall clock may be set. */
void task_delay_until(struct core *c, struct task *t, int64_t due_ms)
{
    int64_t left = due_ms > c->wall_ms ? due_ms - c->wall_ms : 0;
    task_delay(c, t, left < START_LOOK_MS ? left : START_LOOK_MS);
    t->due_ms = due_ms;
}

void lease_extend(struct core *c, struct task *t)
{
    assert(t->phase == PHASE_LEASED);
    t->named = true;
    int64_t until = c->now_ms + t->def->silence_ms;
    timer_set(&c->timers, &t->timer, TIMER_LEASE, until < t->until_ms ? until : t->until_ms);
}

/* The task is leased under this fence. p NULL: its worker is not connected (after a recovery). */
void lease_attach(struct core *c, struct task *t, struct peer_state *p, struct fence fence)
{
    bool held = t->phase == PHASE_LEASED;
    if (held) {
        unlink_lease(c, t);
    } else {
        task_idle(c, t);
        t->phase = PHASE_LEASED;
        sched_held(c, t);
        t->until_ms = c->now_ms + t->def->total_ms;
        t->since_ms = t->since_ms ? t->since_ms : c->wall_ms;
    }
    t->fence = fence;
    if (p) {
        t->peer = p->id;
        memcpy(t->worker, p->name, sizeof t->worker);
        t->lease_prev = NULL;
        t->lease_next = p->leases;
        if (p->leases)
            p->leases->lease_prev = t;
        p->leases = t;
        p->leases_n++;
    }
    lease_extend(c, t);
}

/* ---- a worker is lost --------------------------------------------------------------------- */

static void note_lost(struct core *c, struct task *t, const char *how)
{
    struct failure f = { .attempt = t->attempts + t->crashes + 1,
                         .fault = "lost",
                         .at_ms = c->wall_ms };
    task_key_write(t, f.task);
    memcpy(f.worker, t->worker, sizeof f.worker);
    f.text = (char *)(uintptr_t)how;
    job_fail_note(t->job, &f);
}

/* `how` says what became of the last of them, the job's failures of each. */
static void quarantine(struct core *c, struct task *t, const char *how, struct effects *fx)
{
    static const char head[] = "quarantined: three workers were lost while they held this task; ";
    char text[sizeof head + LOST_MAX];
    size_t n = strnlen(how, LOST_MAX - 1);
    memcpy(text, head, sizeof head);
    memcpy(text + sizeof head - 1, how, n);
    text[sizeof head - 1 + n] = '\0';
    if (t->kind == TASK_STAGE) {
        job_end(c, t->job, JOB_FAILED, text, fx);
    } else if (t->kind == TASK_ASK) {
        struct reply r = { .text = str_of(text), .fault = "permanent" };
        ask_finish(c, t, &r, (struct str){ 0 }, fx);
    } else {
        call_answer(c, t, "permanent", str_of(text), (struct str){ 0 }, fx);
    }
}

/* A crash is not an attempt: it is counted apart. The task goes on elsewhere at once. */
void lease_lost(struct core *c, struct task *t, const char *how, struct effects *fx)
{
    assert(t->phase == PHASE_LEASED);
    note_lost(c, t, how);
    tell_end(c, t, "lost", str_of(how), (struct task_cost){ 0 }, fx);
    task_drop(c, t, "expired", fx);
    c->counts.lost++;
    t->crashes += !t->lost; /* a worker that comes back and goes again is one worker */
    t->lost = true;
    if (t->kind != TASK_CALL)
        job_touch(c, t->job);
    if (t->crashes >= CRASHES_MAX) {
        quarantine(c, t, how, fx);
        return;
    }
    bool hold = t->kind == TASK_STAGE && t->job->hold;
    if (t->kind == TASK_STAGE) {
        t->job->hold = false;
        job_move(c, t->job, hold ? JOB_PAUSED : JOB_QUEUED, how, fx);
    }
    if (!hold)
        task_ready(c, t);
}

/* ---- giving a task to a worker ------------------------------------------------------------ */

struct sending {
    struct strs names;
    struct need *needs;
    uint32_t n;
};

static void need(struct sending *s, const char *name, struct need what)
{
    assert(s->n < PAWL_LIST_MAX);
    s->names.v[s->n] = str_of(name);
    s->needs[s->n++] = what;
    s->names.n = s->n;
}

static struct doc_place place_of(const struct task *t, const struct doc_ref *d,
                                 enum read_which which)
{
    if (which == READ_NEWEST)
        return d->newest;
    if (which == READ_BEST)
        return d->best;
    uint16_t round = (uint16_t)(t->round - 1);
    if (d->newest.run == t->run && d->newest.round == round && round > 0)
        return d->newest;
    if (d->before.run == t->run && d->before.round == round && round > 0)
        return d->before;
    return NO_PLACE;
}

static bool need_list(const struct job *j, const char *name, uint32_t *count)
{
    const struct {
        const char *name;
        uint32_t n;
    } lists[] = {
        { "comments", j->comments_n },
        { "answers", j->answers_n },
        { "ledger", j->ledger_n },
    };
    for (size_t i = 0; i < COUNT(lists); i++) {
        if (strcmp(name, lists[i].name) == 0) {
            *count = lists[i].n;
            return true;
        }
    }
    return false;
}

static struct str workspace_hex(const struct job *j, struct effects *fx)
{
    struct hash h;
    char hex[HASH_HEX + 1];
    memcpy(h.b, j->workspace, sizeof h.b);
    hash_hex(&h, hex);
    return effects_copy(fx, str_of(hex));
}

static void need_read(const struct task *t, const struct stage_read *r, struct sending *s,
                      struct effects *fx)
{
    const struct job *j = t->job;
    char field[FIELD_MAX];
    uint32_t count = 0;
    if (strcmp(r->name, "workspace") == 0) {
        if (j->has_workspace)
            need(s, r->sent, (struct need){ .kind = NEED_BLOB, .name = workspace_hex(j, fx) });
        return;
    }
    if (need_list(j, r->name, &count)) {
        if (count)
            need(s, r->sent,
                 (struct need){ .kind = NEED_LIST, .name = str_of(r->name), .count = count });
        return;
    }
    if (t->kind == TASK_CALL && strcmp(r->name, "call") == 0) {
        struct str frame = effects_copy(fx, (struct str){ t->call->frame, t->call->frame_n });
        need(s, r->sent, (struct need){ .kind = NEED_BYTES, .bytes = frame });
        return;
    }
    if (t->kind == TASK_ASK && strcmp(r->name, "ask") == 0) {
        field_ask(field, "ask", t->pass);
        need(s, r->sent,
             (struct need){ .kind = NEED_FIELD, .name = effects_copy(fx, str_of(field)) });
        return;
    }
    const struct doc_ref *d = job_doc(j, r->name);
    struct doc_place at = d ? place_of(t, d, r->which) : NO_PLACE;
    if (!place_is(at))
        return;
    field_doc(field, at, str_of(r->name));
    need(s, r->sent, (struct need){ .kind = NEED_FIELD, .name = effects_copy(fx, str_of(field)) });
}

/* The pairs of an encoded map, without its head. */
static uint32_t map_pairs(struct str map, struct str *pairs)
{
    struct mp in;
    struct mp_value head;
    mp_init(&in, map);
    if (map.n == 0 || mp_want(&in, MP_MAP, &head) != OK)
        return 0;
    *pairs = (struct str){ map.p + in.at, map.n - in.at };
    return head.n;
}

static void put_facts(struct buf *b, const struct task *t)
{
    const struct job *j = t->job;
    struct str pairs = { 0 };
    uint32_t custom = map_pairs(t->def->facts, &pairs);
    uint64_t seed = mix64(j->id ^ (uint64_t)t->run << 32 ^ t->round) >> 33;
    uint64_t used = j->tokens_in + j->tokens_out;
    mp_map(b, 5 + custom);
    mp_z(b, "seed");
    mp_uint(b, seed);
    mp_z(b, "parent");
    mp_uint(b, j->has_best ? j->best_round : 0);
    mp_z(b, "parent_run");
    mp_uint(b, j->has_best ? j->best_run : 0);
    mp_z(b, "rounds_max");
    mp_uint(b, j->budget.rounds);
    mp_z(b, "tokens_left");
    mp_uint(b, j->budget.tokens > used ? j->budget.tokens - used : 0);
    buf_view(b, pairs);
}

static void send_task(struct peer_state *p, const struct task *t, struct effects *fx)
{
    uint32_t most = t->def->reads_n + 1; /* and its steps */
    struct sending s = { .needs = arena_alloc(&fx->arena, most * sizeof(struct need)) };
    char key[PAWL_KEY_MAX + 1], prefix[FIELD_MAX];
    if (!s.needs) {
        fx->failed = true;
        return;
    }
    for (uint32_t i = 0; i < t->def->reads_n; i++)
        need_read(t, &t->def->reads[i], &s, fx);
    if (t->steps_n > 0) {
        field_step(prefix, t, 0);
        need(&s, "steps",
             (struct need){ .kind = NEED_STEPS,
                            .name = effects_copy(fx, str_of(prefix)),
                            .count = t->steps_n });
    }
    task_key_write(t, key);
    struct buf *facts = effects_scratch(fx, TASK_HEADER_MAX);
    put_facts(facts, t);
    struct msg m = { .type = MSG_TASK };
    m.TASK = (struct msg_TASK){ .seq = p->seq,
                                .task = str_of(key),
                                .fence = t->fence,
                                .stage = str_of(t->def->name),
                                .project = str_of(t->job->project),
                                .attempt = t->attempts + t->crashes + 1,
                                .total_ms = (uint64_t)t->def->total_ms,
                                .docs = s.names,
                                .facts = buf_get(facts) };
    struct fx *f = say(fx, p->id, &m, true);
    f->kind = FX_TASK;
    f->job = t->job->id;
    f->needs = s.needs;
    f->needs_n = s.n;
    f->fence = t->fence;
    f->task = effects_copy(fx, str_of(key));
}

static bool reads(const struct stage_def *d, const char *name)
{
    for (uint32_t i = 0; i < d->reads_n; i++) {
        if (strcmp(d->reads[i].name, name) == 0)
            return true;
    }
    return false;
}

/* A comment has been heard by the stage that makes the candidate, not by its reviewer. */
bool stage_hears(const struct stage_def *d)
{
    return reads(d, "comments") && !stage_writes(d, str_of("review"));
}

static void grant(struct core *c, struct task *t, struct peer_state *p, struct effects *fx)
{
    struct job *j = t->job;
    t->since_ms = c->wall_ms;
    t->base_in = t->steps_in;
    t->base_out = t->steps_out;
    t->lost = false;
    task_note_given(t, c->conf.incarnation);
    lease_attach(c, t, p, (struct fence){ c->conf.incarnation, ++c->fences });
    t->named = false;
    int64_t begun = c->now_ms + t->def->start_ms;
    timer_set(&c->timers, &t->timer, TIMER_LEASE, begun < t->until_ms ? begun : t->until_ms);
    t->seq = ++p->seq;
    p->picked = c->picks;
    home_note(c, t, p);
    roster_sort(c, p);
    if (t->kind == TASK_STAGE) {
        if (stage_hears(t->def))
            j->comment_waits = false;
        job_move(c, j, JOB_RUNNING, "a worker has it", fx);
    }
    if (t->kind != TASK_CALL) {
        job_touch(c, j);
        tell_start(c, t, fx);
    }
    send_task(p, t, fx);
}

void lease_match(struct core *c, struct effects *fx)
{
    struct peer_state *p;
    struct task *t;
    while ((t = sched_next(c, &p)) != NULL)
        grant(c, t, p, fx);
}

/* ---- finding tasks by their key ----------------------------------------------------------- */

static struct task *find_call(const struct job *j, uint32_t number)
{
    struct task *call = call_find(&j->main, number);
    for (struct task *a = j->asks; a && !call; a = a->next)
        call = call_find(a, number);
    return call;
}

struct task *core_task(struct core *c, struct str key, struct task_key *out, struct job **job)
{
    *job = task_key_parse(key, out) ? core_get(c, out->job) : NULL;
    if (!*job)
        return NULL;
    struct job *j = *job;
    if (str_is(out->stage, "call"))
        return find_call(j, out->pass);
    if (str_is(out->stage, "ask")) {
        struct task *a = j->asks;
        while (a && a->pass != out->pass)
            a = a->next;
        return a;
    }
    struct task *t = &j->main;
    bool here = out->run == t->run && out->round == t->round && out->pass == 0 &&
                j->stage < j->pipe->stages_n && str_is(out->stage, t->def->name);
    return here && task_is_current(t) ? t : NULL;
}

bool task_is_current(const struct task *t)
{
    return t->kind != TASK_STAGE ||
           (!job_state_ended(t->job->state) && t->job->state != JOB_WAITING);
}

bool key_committed(const struct job *j, const struct task_key *k)
{
    if (str_is(k->stage, "call"))
        return false;
    if (str_is(k->stage, "ask")) {
        const struct task *a = j->asks;
        while (a && a->pass != k->pass)
            a = a->next;
        return !a && k->pass >= 1 && k->pass <= j->asks_n;
    }
    for (uint32_t i = 0; i < j->pipe->stages_n; i++) {
        if (str_is(k->stage, j->pipe->stages[i].name))
            return job_committed(j, k->run, k->round, i);
    }
    return false;
}
