/* SPDX-License-Identifier: Apache-2.0 */
/* The stored form of a job: one visit writes it or reads it back, so the two cannot differ. */
#include "broker/job.h"

#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DOCS_MAX = 1024, SEEN_MAX = 1024, ASKS_MAX = 256 };

struct rec {
    struct buf *out; /* writing when not NULL */
    struct mp in;
    enum status st; /* reading: the first failure, sticky */
    uint64_t version;
};

static bool want(struct rec *r, enum mp_type type, struct mp_value *v)
{
    if (r->st == OK)
        r->st = mp_want(&r->in, type, v);
    return r->st == OK;
}

static void u64(struct rec *r, uint64_t *v)
{
    struct mp_value in;
    if (r->out)
        mp_uint(r->out, *v);
    else if (want(r, MP_UINT, &in))
        *v = in.u;
}

static void i64(struct rec *r, int64_t *v)
{
    struct mp_value in;
    if (r->out)
        mp_int(r->out, *v);
    else if (want(r, MP_INT, &in))
        *v = in.i;
}

static void u32(struct rec *r, uint32_t *v)
{
    uint64_t wide = *v;
    u64(r, &wide);
    if (wide > UINT32_MAX)
        r->st = ERR_DATA;
    *v = (uint32_t)wide;
}

static void flag(struct rec *r, bool *v)
{
    struct mp_value in;
    if (r->out)
        mp_bool(r->out, *v);
    else if (want(r, MP_BOOL, &in))
        *v = in.b;
}

/* A number of things that follow, at most max. */
static uint32_t list(struct rec *r, uint32_t n, uint32_t max)
{
    struct mp_value in;
    if (r->out) {
        mp_array(r->out, n);
        return n;
    }
    if (!want(r, MP_ARRAY, &in))
        return 0;
    if (in.n > max)
        r->st = ERR_LIMIT;
    return r->st == OK ? in.n : 0;
}

static void fixed(struct rec *r, char *v, size_t size)
{
    struct mp_value in;
    if (r->out) {
        mp_z(r->out, v);
    } else if (want(r, MP_STR, &in)) {
        if (in.str.n >= size) {
            r->st = ERR_LIMIT;
            return;
        }
        memcpy(v, in.str.p, in.str.n);
        v[in.str.n] = '\0';
    }
}

static void bytes(struct rec *r, char **v, size_t *n)
{
    struct mp_value in;
    if (r->out) {
        mp_bin(r->out, (struct str){ *v, *n });
    } else if (want(r, MP_BIN, &in)) {
        *v = malloc(in.str.n + 1);
        if (!*v) {
            r->st = ERR_NOMEM;
            return;
        }
        memcpy(*v, in.str.p, in.str.n);
        (*v)[in.str.n] = '\0';
        *n = in.str.n;
    }
}

static void text(struct rec *r, char **v)
{
    size_t n = *v ? strlen(*v) : 0;
    bytes(r, v, &n);
}

static void *room(struct rec *r, uint32_t n, size_t size)
{
    void *p = n ? calloc(n, size) : NULL;
    if (n && !p)
        r->st = ERR_NOMEM;
    return p;
}

static void visit_budget(struct rec *r, struct budget *b)
{
    u32(r, &b->rounds);
    u32(r, &b->patience);
    u32(r, &b->measures);
    u32(r, &b->judge);
    u64(r, &b->tokens);
    i64(r, &b->wall_ms);
    i64(r, &b->question_ms);
}

static void visit_verdict(struct rec *r, struct verdict *v)
{
    int64_t measures = v->measures, judge = v->judge;
    flag(r, &v->gates);
    i64(r, &measures);
    i64(r, &judge);
    u32(r, &v->errors);
    u32(r, &v->warnings);
    fixed(r, v->candidate, sizeof v->candidate);
    v->measures = (int32_t)measures;
    v->judge = (int32_t)judge;
}

static void visit_place(struct rec *r, struct doc_place *p)
{
    uint32_t run = p->run, round = p->round;
    u32(r, &run);
    u32(r, &round);
    if (run > UINT16_MAX || round > UINT16_MAX)
        r->st = ERR_DATA;
    *p = (struct doc_place){ (uint16_t)run, (uint16_t)round };
}

static void visit_docs(struct rec *r, struct job *j)
{
    uint32_t n = list(r, j->docs_n, DOCS_MAX);
    if (!r->out)
        j->docs = room(r, n, sizeof *j->docs);
    for (uint32_t i = 0; i < n && r->st == OK; i++) {
        fixed(r, j->docs[i].name, sizeof j->docs[i].name);
        visit_place(r, &j->docs[i].newest);
        visit_place(r, &j->docs[i].before);
        visit_place(r, &j->docs[i].best);
        j->docs_n = r->out ? j->docs_n : i + 1;
    }
}

static void visit_seen(struct rec *r, uint64_t **v, uint32_t *count, uint32_t max)
{
    uint32_t n = list(r, *count, max);
    if (!r->out) {
        *v = room(r, n, sizeof **v);
        *count = *v ? n : 0;
    }
    for (uint32_t i = 0; i < n && r->st == OK; i++)
        u64(r, &(*v)[i]);
}

static void visit_questions(struct rec *r, struct job *j)
{
    uint32_t n = list(r, j->questions_n, QUESTIONS_MAX);
    if (!r->out)
        j->questions = room(r, n, sizeof *j->questions);
    for (uint32_t i = 0; i < n && r->st == OK; i++) {
        struct question *q = &j->questions[i];
        j->questions_n = r->out ? j->questions_n : i + 1;
        text(r, &q->id);
        text(r, &q->text);
        text(r, &q->otherwise);
        bytes(r, &q->raw, &q->raw_n);
        i64(r, &q->due_ms);
        flag(r, &q->settled);
    }
}

static void visit_failures(struct rec *r, struct job *j)
{
    uint32_t n = list(r, j->failures_n, FAILURES_MAX);
    if (!r->out && n)
        j->failures = room(r, FAILURES_MAX, sizeof *j->failures);
    for (uint32_t i = 0; i < n && r->st == OK; i++) {
        struct failure *f = &j->failures[i];
        j->failures_n = r->out ? j->failures_n : i + 1;
        fixed(r, f->task, sizeof f->task);
        u32(r, &f->attempt);
        fixed(r, f->fault, sizeof f->fault);
        text(r, &f->text);
        fixed(r, f->worker, sizeof f->worker);
        i64(r, &f->at_ms);
    }
}

static void visit_task(struct rec *r, struct task *t)
{
    uint32_t phase = t->phase;
    u32(r, &phase);
    if (phase > PHASE_DELAYED)
        r->st = ERR_DATA;
    t->phase = (enum task_phase)phase;
    u32(r, &t->run);
    u32(r, &t->round);
    u32(r, &t->pass);
    u32(r, &t->attempts);
    u32(r, &t->crashes);
    u32(r, &t->overloads);
    i64(r, &t->due_ms);
    visit_seen(r, &t->steps, &t->steps_n, PAWL_STEPS_MAX);
    t->steps_cap = r->out ? t->steps_cap : t->steps_n;
    u64(r, &t->steps_in);
    u64(r, &t->steps_out);
    u64(r, &t->base_in);
    u64(r, &t->base_out);
    u64(r, &t->fence.incarnation);
    u64(r, &t->fence.counter);
    u64(r, &t->spent.incarnation);
    u64(r, &t->spent.counter);
    fixed(r, t->worker, sizeof t->worker);
    i64(r, &t->since_ms);
    u64(r, &t->age);
}

static void visit_origin(struct rec *r, struct task *t)
{
    u64(r, &t->made.incarnation);
    u64(r, &t->made.counter);
    u64(r, &t->given[0]);
    u64(r, &t->given[1]);
}

static void visit_asks(struct rec *r, struct job *j)
{
    uint32_t have = 0;
    for (struct task *t = j->asks; t; t = t->next)
        have++;
    uint32_t n = list(r, have, ASKS_MAX);
    struct task **end = &j->asks;
    for (uint32_t i = 0; i < n && r->st == OK; i++) {
        if (!r->out) {
            *end = room(r, 1, sizeof **end);
            if (!*end)
                return;
            **end = (struct task){ .kind = TASK_ASK, .job = j, .rank.slot = HEAP_NONE };
            (*end)->timer = (struct timer){ .slot = HEAP_NONE, .owner = *end };
        }
        visit_task(r, *end);
        end = &(*end)->next;
    }
}

static void visit_names(struct rec *r, struct job *j, uint64_t *pipe)
{
    char work[HASH_HEX + 1] = "";
    struct hash h;
    u64(r, &j->id);
    u64(r, &j->version);
    u32(r, &j->indexed);
    text(r, &j->project);
    text(r, &j->key);
    text(r, &j->label);
    i64(r, &j->priority);
    visit_budget(r, &j->budget);
    u64(r, pipe);
    if (r->out && j->has_workspace) {
        memcpy(h.b, j->workspace, sizeof h.b);
        hash_hex(&h, work);
    }
    fixed(r, work, sizeof work);
    j->has_workspace = hash_from_hex(str_of(work), &h);
    if (j->has_workspace)
        memcpy(j->workspace, h.b, sizeof h.b);
}

static void visit_run(struct rec *r, struct job *j)
{
    enum job_state *state = &j->state;
    uint32_t number = *state;
    i64(r, &j->created_ms);
    i64(r, &j->updated_ms);
    i64(r, &j->ended_ms);
    u32(r, &number);
    if (number >= JOB_STATES)
        r->st = ERR_DATA;
    else
        *state = (enum job_state)number;
    fixed(r, j->reason, sizeof j->reason);
    u32(r, &j->run);
    u32(r, &j->round);
    u32(r, &j->stage);
    i64(r, &j->wall_used_ms);
    i64(r, &j->wall_from_ms);
    u64(r, &j->tokens_in);
    u64(r, &j->tokens_out);
    u64(r, &j->total_in);
    u64(r, &j->total_out);
    u64(r, &j->round_in);
    u64(r, &j->round_out);
    i64(r, &j->round_from_ms);
    u32(r, &j->dry);
    flag(r, &j->has_best);
    flag(r, &j->best_stale);
    flag(r, &j->comment_waits);
    flag(r, &j->hold);
    u32(r, &j->best_run);
    u32(r, &j->best_round);
    visit_verdict(r, &j->best);
    flag(r, &j->has_last);
    visit_verdict(r, &j->last);
}

static void visit_schedule(struct rec *r, struct job *j)
{
    uint32_t klass = j->klass;
    u32(r, &klass);
    if (klass >= CLASSES)
        r->st = ERR_DATA;
    else
        j->klass = (enum job_class)klass;
    i64(r, &j->start_ms);
}

static void visit_answers(struct rec *r, struct job *j)
{
    for (uint32_t i = 0; i < j->questions_n && r->st == OK; i++) {
        struct question *q = &j->questions[i];
        text(r, &q->answer);
        fixed(r, q->by, sizeof q->by);
        fixed(r, q->via, sizeof q->via);
    }
}

static void visit_job(struct rec *r, struct job *j, uint64_t *pipe)
{
    visit_names(r, j, pipe);
    visit_run(r, j);
    visit_seen(r, &j->seen, &j->seen_n, SEEN_MAX);
    visit_docs(r, j);
    u32(r, &j->ledger_n);
    u32(r, &j->comments_n);
    u32(r, &j->answers_n);
    u32(r, &j->asks_n);
    visit_questions(r, j);
    visit_failures(r, j);
    visit_task(r, &j->main);
    visit_asks(r, j);
    if (!r->out && r->version < 2)
        return; /* not kept then */
    visit_origin(r, &j->main);
    for (struct task *t = j->asks; t; t = t->next)
        visit_origin(r, t);
    if (r->out || r->version >= 3)
        visit_schedule(r, j);
    if (r->out || r->version >= 4)
        visit_answers(r, j);
}

void record_encode(const struct job *j, struct buf *out)
{
    struct rec r = { .out = out };
    uint64_t pipe = j->pipe->id, version = RECORD_VERSION;
    struct job *same =
        (struct job *)(uintptr_t)j; /* visitors take mutable fields; writing changes none */
    u64(&r, &version);
    visit_job(&r, same, &pipe);
}

static enum status check(const struct job *j)
{
    bool good = j->id != 0 && j->run >= 1 && j->run <= PAWL_RUNS_MAX && j->round >= 1 &&
                j->round <= PAWL_ROUNDS_MAX && j->stage <= j->pipe->stages_n &&
                j->seen_n <= SEEN_MAX && j->best_run <= j->run && j->budget.rounds >= 1 &&
                j->budget.rounds <= PAWL_ROUNDS_MAX;
    return good ? OK : ERR_DATA;
}

struct job *record_decode(struct str raw, pipeline_find_fn *find, void *ctx, struct err *err)
{
    struct rec r = { .st = OK };
    uint64_t version = 0, pipe = 0;
    struct job *j = raw.n <= RECORD_MAX ? job_new(1) : NULL;
    if (!j) {
        err_set(err, ERR_LIMIT, "a job record of %zu bytes", raw.n);
        return NULL;
    }
    mp_init(&r.in, raw);
    u64(&r, &version);
    if (r.st == OK && (version < RECORD_OLDEST || version > RECORD_VERSION))
        r.st = ERR_PROTOCOL;
    r.version = version;
    if (r.st == OK)
        visit_job(&r, j, &pipe);
    j->pipe = r.st == OK ? find(ctx, pipe) : NULL;
    if (r.st == OK && !j->pipe)
        r.st = ERR_NOT_FOUND;
    if (r.st == OK)
        r.st = check(j);
    if (r.st != OK) {
        char id[ID_CHARS + 1];
        id_text(j->id, id);
        err_set(err, r.st, "record of job %s: %s", id,
                r.st == ERR_PROTOCOL    ? "written by another version"
                : r.st == ERR_NOT_FOUND ? "its pipeline is not in the store"
                                        : status_text(r.st));
        job_free(j);
        return NULL;
    }
    j->known = true;
    return j;
}

static enum task_phase phase_of(enum job_state s)
{
    return s == JOB_QUEUED    ? PHASE_READY
           : s == JOB_RUNNING ? PHASE_LEASED
           : s == JOB_DELAYED ? PHASE_DELAYED
                              : PHASE_IDLE;
}

bool record_fits(const struct job *j)
{
    bool whole = j->stage < j->pipe->stages_n;
    return j->main.phase == phase_of(j->state) && (whole || job_state_ended(j->state)) &&
           j->id >> 60 == 0;
}
