/* SPDX-License-Identifier: Apache-2.0 */
/* advance: a job's way through its states, stages, rounds and runs. */
#include "broker/core_in.h"

#include "broker/policy.h"
#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_MAX = 4096 };

void job_touch(struct core *c, struct job *j)
{
    j->updated_ms = c->wall_ms;
    if (j->dirty)
        return;
    if (c->dirty_n == c->dirty_cap) {
        uint32_t cap = c->dirty_cap ? c->dirty_cap * 2 : 64;
        struct job **more = realloc(c->dirty, cap * sizeof *more);
        assert(more);
        c->dirty = more;
        c->dirty_cap = cap;
    }
    c->dirty[c->dirty_n++] = j;
    j->dirty = true;
}

/* Has a worker ever had something of this run? */
bool job_begun(const struct job *j)
{
    return j->stage > 0 || j->round > 1 || j->main.since_ms != 0;
}

bool job_wall_runs(const struct core *c, const struct job *j)
{
    return !job_state_ended(j->state) && j->state != JOB_WAITING && j->state != JOB_PAUSED &&
           job_begun(j) && !(j->state == JOB_QUEUED && sched_halted(c, j));
}

/* The wall budget stands still until a worker has begun, while the user is to act or its queue is
 * paused, and after the end. */
void job_wall_check(struct core *c, struct job *j)
{
    if (!job_wall_runs(c, j)) {
        j->wall_used_ms = job_wall_used(j, c->wall_ms);
        j->wall_from_ms = 0;
        if (!job_state_ended(j->state))
            timer_stop(&c->timers, &j->wall);
        return;
    }
    if (!j->wall_from_ms)
        j->wall_from_ms = c->wall_ms;
    int64_t left = j->budget.wall_ms - job_wall_used(j, c->wall_ms);
    timer_set(&c->timers, &j->wall, TIMER_WALL, c->now_ms + (left > 0 ? left : 0));
}

static void set_reason(struct job *j, const char *reason)
{
    size_t n = strlen(reason);
    if (n >= sizeof j->reason)
        n = sizeof j->reason - 1;
    while (n > 0 && ((unsigned char)reason[n] & 0xc0) == 0x80)
        n--;
    memcpy(j->reason, reason, n);
    j->reason[n] = '\0';
}

void job_move(struct core *c, struct job *j, enum job_state to, const char *reason,
              struct effects *fx)
{
    enum job_state from = j->state;
    assert(job_may(from, to));
    bool was_ended = job_state_ended(from), ended = job_state_ended(to);
    if (was_ended)
        heap_remove(&c->ended, &j->wall);
    j->state = to;
    if (!was_ended)
        c->counts.by_state[from]--;
    if (!ended)
        c->counts.by_state[to]++;
    set_reason(j, reason);
    if (ended && c->ended_ms < c->wall_ms)
        c->ended_ms = c->wall_ms;
    j->ended_ms = ended ? c->ended_ms : 0;
    job_wall_check(c, j);
    if (ended) {
        timer_stop(&c->timers, &j->wall);
        timer_set(&c->ended, &j->wall, TIMER_WALL, j->ended_ms);
    }
    job_touch(c, j);
    tell_state(c, j, from, fx);
}

void job_enter_stage(struct core *c, struct job *j)
{
    assert(j->stage < j->pipe->stages_n);
    assert(j->main.phase == PHASE_IDLE);
    struct task *t = &j->main;
    t->made = (struct fence){ c->conf.incarnation, c->fences };
    t->given[0] = t->given[1] = 0;
    t->def = &j->pipe->stages[j->stage];
    t->run = j->run;
    t->round = j->round;
    t->pass = 0;
    t->attempts = t->crashes = t->overloads = 0;
    t->lost = false;
    t->due_ms = 0;
    t->since_ms = 0;
    t->worker[0] = '\0';
    t->fence = t->spent = (struct fence){ 0 };
    task_steps_clear(t);
    free(t->note);
    t->note = NULL;
}

/* Its first stage waits for the start that the user chose. */
void job_start_later(struct core *c, struct job *j, const char *reason, struct effects *fx)
{
    job_move(c, j, JOB_DELAYED, reason, fx);
    task_delay_until(c, &j->main, j->start_ms);
}

void job_queue_stage(struct core *c, struct job *j)
{
    assert(j->state == JOB_QUEUED);
    task_ready(c, &j->main);
}

static uint32_t first_round_stage(const struct pipeline *p)
{
    uint32_t i = 0;
    while (i < p->stages_n && p->stages[i].each != EACH_ROUND)
        i++;
    return i;
}

/* An item of one of the lists that grow: ledger, comments, answers. */
void job_append(struct core *c, struct job *j, const char *list, uint32_t *count, struct str item,
                struct effects *fx)
{
    char field[FIELD_MAX];
    struct str copy = effects_copy(fx, item);
    field_item(field, list, ++*count);
    struct fx *f = effects_add(fx, FX_DOC);
    f->job = j->id;
    f->bytes = copy;
    f->field = effects_copy(fx, str_of(field));
    job_touch(c, j);
}

struct entry {
    bool kept;
    const char *why, *end; /* end: why the run ends, or NULL */
};

static void put_reason(struct buf *b, const struct entry *e)
{
    struct buf text;
    buf_init(&text, 256);
    buf_str(&text, e->why);
    if (e->end) {
        buf_str(&text, e->why[0] ? "; the run ends: " : "the run ends: ");
        struct str end = str_of(e->end);
        size_t room = 250 - text.len;
        buf_append(&text, end.p, end.n < room ? end.n : room);
    }
    mp_z(b, "reason");
    mp_str(b, buf_get(&text));
    buf_fini(&text);
}

static void append_entry(struct core *c, struct job *j, const struct entry *e, struct effects *fx)
{
    struct buf b;
    int64_t ms = c->wall_ms > j->round_from_ms ? c->wall_ms - j->round_from_ms : 0;
    const struct {
        const char *key;
        int64_t v;
    } numbers[] = {
        { "run", j->run },
        { "round", j->round },
        { "parent", j->has_best ? j->best_round : 0 },
        { "tokens_in", (int64_t)j->round_in },
        { "tokens_out", (int64_t)j->round_out },
        { "ms", ms },
    };
    buf_init(&b, ENTRY_MAX);
    mp_map(&b, COUNT(numbers) + 2 + j->has_last);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        mp_z(&b, numbers[i].key);
        mp_int(&b, numbers[i].v);
    }
    mp_z(&b, "kept");
    mp_bool(&b, e->kept);
    put_reason(&b, e);
    if (j->has_last) {
        mp_z(&b, "verdict");
        verdict_put(&b, &j->last);
    }
    assert(b.status == OK);
    job_append(c, j, "ledger", &j->ledger_n, buf_get(&b), fx);
    tell_facts(c, j, "round", buf_get(&b), fx);
    buf_fini(&b);
}

static void keep_best(struct job *j)
{
    j->has_best = true;
    j->best_stale = false;
    j->best = j->last;
    j->best_run = j->run;
    j->best_round = j->round;
    job_mark_best(j);
}

static void note_candidate(struct job *j)
{
    if (!j->has_last || !j->last.candidate[0])
        return;
    uint64_t *more = realloc(j->seen, (j->seen_n + 1) * sizeof *more);
    assert(more);
    j->seen = more;
    j->seen[j->seen_n++] = hash_prefix(str_of(j->last.candidate));
}

static void begin_round(struct core *c, struct job *j)
{
    j->has_last = false;
    j->comment_waits = false;
    j->round_in = j->round_out = 0;
    j->round_from_ms = c->wall_ms;
}

/* What runs or waits of the main task ends without a result. */
static void stop_main(struct core *c, struct job *j, const char *drop, struct effects *fx)
{
    task_drop(c, &j->main, drop, fx);
}

static void finish(struct core *c, struct job *j, enum job_state state, const char *reason,
                   struct effects *fx)
{
    stop_main(c, j, "cancelled", fx);
    timer_stop(&c->timers, &j->main.timer);
    j->hold = false;
    job_move(c, j, state, reason, fx);
}

void job_end(struct core *c, struct job *j, enum job_state state, const char *reason,
             struct effects *fx)
{
    assert(!job_state_ended(j->state) && job_state_ended(state));
    struct entry e = { .why = "", .end = reason };
    append_entry(c, j, &e, fx);
    /* Only a review can accept; what is stopped elsewhere with a good best is exhausted. */
    if (state == JOB_ACCEPTED && j->state != JOB_RUNNING)
        state = JOB_EXHAUSTED;
    finish(c, j, state, reason, fx);
}

/* The round's stages are committed. True: the run goes on with the next round. */
static bool end_round(struct core *c, struct job *j, struct effects *fx)
{
    struct ruling r = policy_round(j, c->wall_ms);
    uint32_t next = first_round_stage(j->pipe);
    if (!r.end && next == j->pipe->stages_n) {
        r.end = true;
        r.reason = "its pipeline has no stages of a round";
        r.state = r.keep ? JOB_EXHAUSTED : policy_end_state(j);
    }
    struct entry e = { .kept = r.keep, .why = r.kept, .end = r.end ? r.reason : NULL };
    append_entry(c, j, &e, fx);
    note_candidate(j);
    j->dry = r.keep ? 0 : j->dry + 1;
    if (r.keep)
        keep_best(j);
    if (r.end) {
        finish(c, j, r.state, r.reason, fx);
        return false;
    }
    j->round++;
    j->stage = next;
    begin_round(c, j);
    return true;
}

static struct question question_new(struct core *c, struct job *j, const struct asked *a)
{
    struct question q = { .id = strndup(a->id.p, a->id.n),
                          .text = strndup(a->text.p, a->text.n),
                          .otherwise = strndup(a->otherwise.p, a->otherwise.n),
                          .raw = malloc(a->raw.n + 1),
                          .raw_n = a->raw.n };
    assert(q.id && q.text && q.otherwise && q.raw);
    memcpy(q.raw, a->raw.p, a->raw.n);
    q.raw[a->raw.n] = '\0';
    q.due_ms = c->wall_ms + (a->deadline_ms > 0 ? a->deadline_ms : j->budget.question_ms);
    return q;
}

static void take_questions(struct core *c, struct job *j, const struct event *ev,
                           struct effects *fx)
{
    assert(ev->asked_n <= QUESTIONS_MAX);
    job_questions_clear(j);
    j->questions = calloc(ev->asked_n, sizeof *j->questions);
    assert(j->questions);
    for (uint32_t i = 0; i < ev->asked_n; i++) {
        j->questions[j->questions_n++] = question_new(c, j, &ev->asked[i]);
        tell_facts(c, j, "question", ev->asked[i].raw, fx);
    }
}

/* The stage at the position is committed (its documents are noted): go on. The job is RUNNING. */
void job_advance(struct core *c, struct job *j, const struct event *ev, struct effects *fx)
{
    assert(j->state == JOB_RUNNING && j->main.phase == PHASE_IDLE);
    j->stage++;
    if (j->stage == j->pipe->stages_n && !end_round(c, j, fx))
        return;
    job_enter_stage(c, j);
    if (ev->asked_n > 0) {
        take_questions(c, j, ev, fx);
        job_move(c, j, JOB_WAITING, "a question waits for an answer", fx);
        questions_due(c, j, fx);
    } else if (j->hold) {
        j->hold = false;
        job_move(c, j, JOB_PAUSED, "paused", fx);
    } else {
        job_move(c, j, JOB_QUEUED, "the next stage", fx);
        job_queue_stage(c, j);
    }
}

void job_new_run(struct core *c, struct job *j, const char *reason, struct effects *fx)
{
    assert(job_state_ended(j->state) && j->run < PAWL_RUNS_MAX);
    j->run++;
    j->round = 1;
    j->stage = 0;
    j->wall_used_ms = j->wall_from_ms = 0;
    j->tokens_in = j->tokens_out = 0;
    j->dry = 0;
    j->hold = false;
    free(j->seen);
    j->seen = NULL;
    j->seen_n = 0;
    job_questions_clear(j);
    begin_round(c, j);
    job_enter_stage(c, j);
    job_move(c, j, JOB_QUEUED, reason, fx);
    job_queue_stage(c, j);
}

void job_forget(struct core *c, struct job *j, struct effects *fx)
{
    assert(job_state_ended(j->state));
    for (struct task *t = j->asks; t; t = t->next)
        task_drop(c, t, "cancelled", fx);
    struct fx *f = effects_add(fx, FX_FORGET);
    f->job = j->id;
    if (j->has_workspace) {
        struct hash h;
        char hex[HASH_HEX + 1];
        memcpy(h.b, j->workspace, sizeof h.b);
        hash_hex(&h, hex);
        f->workspace = effects_copy(fx, str_of(hex));
    }
    for (uint32_t i = 0; i < c->dirty_n; i++) {
        if (c->dirty[i] == j)
            c->dirty[i] = NULL;
    }
    core_not_warm(c, j);
    heap_remove(&c->ended, &j->wall);
    idmap_remove(&c->jobs, j->id);
    prefix_remove(&c->by_prefix, j);
    job_free(j);
}

void core_retain(struct core *c, struct effects *fx)
{
    struct timer *oldest;
    while ((oldest = heap_top(&c->ended)) != NULL) {
        if (c->ended.len <= c->conf.retain_jobs &&
            oldest->at_ms + c->conf.retain_age_ms > c->wall_ms)
            return;
        job_forget(c, oldest->owner, fx);
    }
}
