/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/oracle.h"

#include "common/hash.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STAGES = RULED_STAGES, /* of the default pipeline, in order */
    PROJECTS = RULED_PROJECTS,
    RING = 512,
    DEPOSED = 16,
    LEADER_LEASE_MS = 3000 + 1, /* times are truncated */
    SILENCE_MS = 15000,
    STALL_MS = 5000,
    NEAR_MS = 1500, /* what is this close to a deadline is not judged */
    ATTEMPTS_LEAST = 3,
    CRASHES = 3,
    SET_BACK_MS = 125000,
    SETTLED_MS = 2000, /* what was heard this long ago is in the store */
    TASKS_RATED = 24,
    RATE_SLACK_MS = 25000 /* a broker is suspended, commits come together */
};

enum state {
#define X(id, name, kind, meaning) S_##id,
#include "schemas/states.def"
#undef X
    S_COUNT
};
enum { OPEN, ENDED };
static const int kinds[S_COUNT] = {
#define X(id, name, kind, meaning) kind,
#include "schemas/states.def"
#undef X
};
static const char *const stages[STAGES] = { "parse", "analyze", "generate", "review" };

struct score {
    bool gates;
    int64_t measures, judge, errors;
};

/* The fields of a record that are judged, as the store has them. */
struct record {
    uint64_t version;
    char key[64];
    int64_t priority, budget_measures, budget_judge;
    uint64_t rounds, patience, budget_tokens;
    int64_t budget_wall, updated_ms, ended_ms, wall_used, start_ms;
    enum state state;
    uint64_t reason; /* digest */
    uint64_t run, round, stage;
    uint64_t tokens_in, tokens_out, total_in, total_out;
    bool has_best, stale, hold;
    uint64_t best_run, best_round;
    struct score best;
    uint64_t phase, attempts, crashes, age;
    struct fence fence;
    uint64_t questions, unsettled, open_asks, asks, comments, klass;
    char workspace[HASH_HEX + 1];
};

struct job {
    uint64_t id;
    bool exists, blur; /* blur: a broker was gone meanwhile: what it counted is not known */
    bool submitted;    /* said to a client */
    uint32_t project;
    struct record r;
    uint64_t at_commit;    /* of its last change */
    bool granted;          /* in that commit */
    uint64_t grant_commit; /* the one that wrote its fence */
    struct record before;  /* … and as it was before */
    uint32_t indexes;      /* bit per index that it is in */
    uint64_t executed_in;  /* also in an earlier life under the same key */
    enum state told;       /* by its newest event */
    uint64_t told_commit;
    uint64_t gap_commit; /* an event before that one is missing, unless the job is a new one */
    uint64_t dry;   /* rounds of its run since its best became better … */
    bool dry_known; /* … unless some of them were not seen */
    /* of the task at its position */
    uint32_t fails, permanents, given_back, grants;
    uint64_t pauses;    /* and resumes, heard */
    int64_t resumed_ms; /* when the last one that lets it go on was heard */
};

struct step { /* acknowledged */
    uint64_t job, key, hash;
    uint64_t at; /* commits so far */
};

struct lease {
    uint64_t key; /* digest of the task key; 0: free */
    struct fence fence;
    uint64_t peer, job;
    int64_t since_ms, beat_ms, total_ms;
    int64_t grace_ms; /* until then it is its worker's, after a recovery; 0: no recovery since */
    bool over, ended; /* ended: by its worker */
};

struct request {
    uint64_t peer, req, run, pauses;
    int queue; /* PAUSE of a stage or a project */
    enum msg_type type;
    char job[16], text[64], hash[HASH_HEX + 1];
    bool hold;
    uint64_t doc;
};

struct result { /* a DONE that the broker has read */
    uint64_t peer, key, doc;
    struct fence fence;
    bool malformed;
};

enum { READIES = 8, PEERS = 256, SAID = 32 };
struct credit {                                                /* what a worker said last */
    uint64_t peer, credit[READIES], seen[READIES], said[SAID]; /* said: numbers of TASKs */
    uint32_t said_n;
    uint32_t n, hellos; /* after another HELLO its count begins anew: not judged */
};

struct table { /* digests to numbers */
    uint64_t *keys, *values;
    size_t cap, n;
};

struct oracle {
    struct oracle_conf conf;
    struct job *jobs;
    uint32_t jobs_n, jobs_cap;
    struct table by_id, fences, once; /* once: a document -> its first content */
    struct table heard;               /* a peer -> when it last said something */
    struct step *steps;
    size_t steps_n, steps_cap;
    struct lease *leases;
    size_t leases_n, leases_cap;
    struct request requests[RING];
    struct result results[RING];
    size_t requests_n, results_n;
    uint64_t commits, leader, fell; /* fell: how often the store fell back */
    uint64_t turn;                  /* the newest of its leader */
    uint64_t deposed[DEPOSED];      /* incarnations that know that they lead no more */
    uint32_t deposed_n;
    struct {
        uint64_t incarnation;
        int64_t at_ms;
    } replaced[DEPOSED]; /* since when another one leads */
    uint32_t replaced_n;
    bool loading;
    uint64_t written; /* cells since the last commit */
    int64_t now_ms;   /* of the last message */
    uint32_t *touched;
    size_t touched_n, touched_cap;
    uint32_t skipped[STAGES][PROJECTS][PROJECTS];
    int64_t rated[STAGES][TASKS_RATED]; /* when its last tasks were said */
    uint32_t rated_n[STAGES];
    uint32_t halted, halted_before; /* bit per stage, then per project; before this commit */
    uint32_t switches[STAGES + PROJECTS]; /* pauses and resumes heard */
    int64_t resumed_ms[STAGES + PROJECTS]; /* when the last resume was heard */
    struct credit credits[PEERS];
    uint32_t credits_n;
    struct oracle_counts n;
};

/* ---- small things ------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) _Noreturn static void broken(const struct oracle *o,
                                                                   const char *fmt, ...)
{
    char what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    o->conf.broken(o->conf.ctx, what);
    abort();
}

uint64_t oracle_digest(uint64_t have, struct str bytes)
{
    uint64_t v = have ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes.n; i++)
        v = (v ^ (unsigned char)bytes.p[i]) * 0x100000001b3u;
    return v ? v : 1;
}

static uint64_t digest(struct str s)
{
    return oracle_digest(0, s);
}

static uint64_t *slot(struct table *t, uint64_t key)
{
    if ((t->n + 1) * 2 > t->cap) {
        struct table wider = { .cap = t->cap ? t->cap * 2 : 64 };
        wider.keys = calloc(wider.cap, sizeof *wider.keys);
        wider.values = calloc(wider.cap, sizeof *wider.values);
        assert(wider.keys && wider.values);
        for (size_t i = 0; i < t->cap; i++) {
            if (t->keys[i])
                *slot(&wider, t->keys[i]) = t->values[i];
        }
        free(t->keys);
        free(t->values);
        *t = wider;
    }
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (t->cap - 1);
    while (t->keys[i] && t->keys[i] != key)
        i = (i + 1) & (t->cap - 1);
    t->n += t->keys[i] == 0;
    t->keys[i] = key;
    return &t->values[i];
}

static void *more(void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    *cap = *cap ? *cap * 2 : 64;
    v = realloc(v, *cap * size);
    assert(v);
    return v;
}

struct oracle *oracle_new(const struct oracle_conf *conf)
{
    struct oracle *o = calloc(1, sizeof *o);
    assert(o);
    o->conf = *conf;
    return o;
}

void oracle_free(struct oracle *o)
{
    struct table *t[] = { &o->by_id, &o->fences, &o->once, &o->heard };
    for (size_t i = 0; i < COUNT(t); i++) {
        free(t[i]->keys);
        free(t[i]->values);
    }
    free(o->jobs);
    free(o->steps);
    free(o->leases);
    free(o->touched);
    free(o);
}

static struct job *job_of(struct oracle *o, uint64_t id, bool make)
{
    uint64_t *at = slot(&o->by_id, id);
    if (*at)
        return &o->jobs[*at - 1];
    if (!make)
        return NULL;
    if (o->jobs_n == o->jobs_cap) {
        o->jobs_cap = o->jobs_cap ? o->jobs_cap * 2 : 64;
        o->jobs = realloc(o->jobs, o->jobs_cap * sizeof *o->jobs);
        assert(o->jobs);
    }
    struct job *j = &o->jobs[o->jobs_n++];
    *j = (struct job){ .id = id };
    *at = o->jobs_n;
    return j;
}

static struct job *job_named(struct oracle *o, struct str text)
{
    uint64_t id;
    return id_parse(text, &id) ? job_of(o, id, false) : NULL;
}

static const char *name_of(const struct job *j, char out[16])
{
    id_text(j->id, out);
    return out;
}

static struct str field_of(const struct oracle *o, uint64_t id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static struct str field_of(const struct oracle *o, uint64_t id, const char *fmt, ...)
{
    char key[32] = "d:", field[300];
    va_list args;
    id_text(id, key + 2);
    va_start(args, fmt);
    vsnprintf(field, sizeof field, fmt, args);
    va_end(args);
    return o->conf.look(o->conf.ctx, key, field);
}

static bool holds_text(struct str bytes, const char *text)
{
    return bytes.p && memmem(bytes.p, bytes.n, text, strlen(text)) != NULL;
}

/* ---- records ------------------------------------------------------------------------------ */

struct reader {
    struct mp in;
    bool bad;
};

static struct mp_value value(struct reader *r)
{
    struct mp_value v = { 0 };
    r->bad = r->bad || mp_next(&r->in, &v) != OK;
    return v;
}

static uint64_t number(struct reader *r)
{
    struct mp_value v = value(r);
    return v.type == MP_UINT ? v.u : (uint64_t)v.i;
}

static void pass(struct reader *r, uint64_t n)
{
    for (; n && !r->bad; n--)
        value(r);
}

static struct score score(struct reader *r)
{
    struct score s = { .gates = value(r).b };
    s.measures = (int64_t)number(r);
    s.judge = (int64_t)number(r);
    s.errors = (int64_t)number(r);
    pass(r, 2);
    return s;
}

static void read_task(struct reader *r, struct record *out)
{
    out->phase = number(r);
    pass(r, 3);
    out->attempts = number(r);
    out->crashes = number(r);
    pass(r, 2);
    pass(r, value(r).n);
    pass(r, 4);
    out->fence.incarnation = number(r);
    out->fence.counter = number(r);
    pass(r, 4);
    out->age = number(r);
}

/* Field by field in the order in which they are kept. */
static bool read_record(struct str bytes, struct record *out, uint64_t *id, struct str *project)
{
    struct reader r = { .bad = bytes.n < 10 };
    mp_init(&r.in, (struct str){ bytes.p + 10, bytes.n - 10 });
    pass(&r, 1);
    *id = number(&r);
    out->version = number(&r);
    pass(&r, 1);
    *project = value(&r).str;
    struct str key = value(&r).str;
    snprintf(out->key, sizeof out->key, "%.*s", STR_ARG(key));
    pass(&r, 1);
    out->priority = (int64_t)number(&r);
    out->rounds = number(&r);
    out->patience = number(&r);
    out->budget_measures = (int64_t)number(&r);
    out->budget_judge = (int64_t)number(&r);
    out->budget_tokens = number(&r);
    out->budget_wall = (int64_t)number(&r);
    pass(&r, 2);
    struct str workspace = value(&r).str;
    snprintf(out->workspace, sizeof out->workspace, "%.*s", STR_ARG(workspace));
    pass(&r, 1);
    out->updated_ms = (int64_t)number(&r);
    out->ended_ms = (int64_t)number(&r);
    uint64_t state = number(&r);
    out->state = (enum state)(state < S_COUNT ? state : 0);
    out->reason = digest(value(&r).str);
    out->run = number(&r);
    out->round = number(&r);
    out->stage = number(&r);
    out->wall_used = (int64_t)number(&r);
    pass(&r, 1);
    out->tokens_in = number(&r);
    out->tokens_out = number(&r);
    out->total_in = number(&r);
    out->total_out = number(&r);
    pass(&r, 4);
    out->has_best = value(&r).b;
    out->stale = value(&r).b;
    pass(&r, 1);
    out->hold = value(&r).b;
    out->best_run = number(&r);
    out->best_round = number(&r);
    out->best = score(&r);
    pass(&r, 1 + 6);
    pass(&r, value(&r).n);
    pass(&r, 7 * (uint64_t)value(&r).n);
    pass(&r, 1);
    out->comments = number(&r);
    pass(&r, 1);
    out->asks = number(&r);
    out->questions = value(&r).n;
    for (uint64_t i = 0; i < out->questions && !r.bad; i++) {
        pass(&r, 5);
        out->unsettled += !value(&r).b;
    }
    pass(&r, 6 * (uint64_t)value(&r).n);
    read_task(&r, out);
    out->open_asks = value(&r).n;
    for (uint64_t i = 0; i < out->open_asks && !r.bad; i++) {
        struct record ask;
        read_task(&r, &ask);
    }
    pass(&r, 4 + 4 * out->open_asks);
    out->klass = number(&r);
    out->start_ms = (int64_t)number(&r);
    return !r.bad && state < S_COUNT;
}

static bool same_position(const struct record *a, const struct record *b)
{
    return a->run == b->run && a->round == b->round && a->stage == b->stage;
}

static bool before_position(const struct record *a, const struct record *b)
{
    if (a->run != b->run)
        return a->run < b->run;
    return a->round != b->round ? a->round < b->round : a->stage < b->stage;
}

static int compare(const struct score *a, const struct score *b)
{
    if (a->gates != b->gates)
        return a->gates ? 1 : -1;
    if (a->measures != b->measures)
        return a->measures > b->measures ? 1 : -1;
    if (a->judge < 0 || b->judge < 0 || a->judge == b->judge)
        return 0;
    return a->judge > b->judge ? 1 : -1;
}

/* An ended run stays as it ended; the next one begins from its start. */
static void judge_ended(struct oracle *o, const struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    char id[16];
    if (now->run == was->run) {
        if (now->state != was->state || now->ended_ms != was->ended_ms ||
            now->reason != was->reason || !same_position(now, was) ||
            now->best_round != was->best_round || now->best_run != was->best_run ||
            now->questions != was->questions)
            broken(o, "job %s: its run %llu had ended and was changed", name_of(j, id),
                   (unsigned long long)was->run);
    } else if (now->run < was->run) {
        broken(o, "job %s: run %llu follows run %llu", name_of(j, id), (unsigned long long)now->run,
               (unsigned long long)was->run);
    }
}

static void judge_failed(struct oracle *o, const struct job *j, const struct record *now)
{
    char id[16];
    /* What has gone by is measured by another clock than the wall's, which is set back at times. */
    int64_t set_back = now->reason == digest(str_of("the wall time is spent")) ? SET_BACK_MS : 0;
    bool spent = now->tokens_in + now->tokens_out >= now->budget_tokens ||
                 now->wall_used + set_back >= now->budget_wall;
    bool policy = now->stage == STAGES || now->round >= now->rounds;
    bool crashes = j->grants + j->given_back >= j->fails + CRASHES && now->crashes >= CRASHES;
    bool fails = j->fails >= ATTEMPTS_LEAST && now->attempts >= ATTEMPTS_LEAST;
    if (j->blur || spent || policy || j->permanents || crashes || fails)
        return;
    broken(o, "job %s failed after %u failures and %u leases of its stage (says: %llu, %llu)",
           name_of(j, id), j->fails, j->grants, (unsigned long long)now->attempts,
           (unsigned long long)now->crashes);
}

static void judge_end(struct oracle *o, const struct job *j, const struct record *now)
{
    char id[16];
    if (now->state == S_ACCEPTED &&
        (!now->has_best || now->stale || !now->best.gates || now->best.errors ||
         now->best.measures < now->budget_measures ||
         (now->best.judge >= 0 && now->best.judge < now->budget_judge)))
        broken(o, "job %s is accepted and its best does not meet the targets", name_of(j, id));
    if (now->state == S_EXHAUSTED && !now->has_best)
        broken(o, "job %s is exhausted without a candidate", name_of(j, id));
    if (now->state == S_FAILED)
        judge_failed(o, j, now);
    o->n.accepted += now->state == S_ACCEPTED;
    o->n.exhausted += now->state == S_EXHAUSTED;
    o->n.failed += now->state == S_FAILED;
    o->n.cancelled += now->state == S_CANCELLED;
}

/* What is spent in a run is spent; a run without progress ends; a question is waited for. */
static void judge_run(struct oracle *o, struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    char id[16];
    name_of(j, id);
    if (now->run != was->run) {
        j->dry = 0;
        j->dry_known = true;
    } else if (now->total_in - was->total_in != now->tokens_in - was->tokens_in ||
               now->total_out - was->total_out != now->tokens_out - was->tokens_out) {
        broken(o, "job %s: what its run has spent is not what it has spent in all", id);
    } else if (now->round > was->round) {
        bool better = now->has_best && now->best_run == was->run && now->best_round == was->round;
        j->dry = better ? 0 : j->dry + 1;
    }
    if (now->comments != was->comments)
        j->dry_known = false; /* a comment gets its round */
    if (j->dry_known && j->dry >= now->patience && kinds[now->state] == OPEN)
        broken(o, "job %s goes on, its patience is spent", id);
    if (now->state == S_WAITING && !now->unsettled)
        broken(o, "job %s waits, and no question is open", id);
    if (now->unsettled && (now->state == S_QUEUED || now->state == S_RUNNING))
        broken(o, "job %s goes on, and a question is open", id);
}

static void judge_change(struct oracle *o, struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    char id[16];
    name_of(j, id);
    if (now->version != was->version + 1)
        broken(o, "job %s: version %llu follows %llu", id, (unsigned long long)now->version,
               (unsigned long long)was->version);
    if (before_position(now, was))
        broken(o, "job %s went back from %llu/%llu/%llu", id, (unsigned long long)was->run,
               (unsigned long long)was->round, (unsigned long long)was->stage);
    if (now->round > now->rounds)
        broken(o, "job %s is in a round beyond its budget", id);
    if (now->total_in < was->total_in || now->total_out < was->total_out)
        broken(o, "job %s has spent less than before", id);
    if (now->total_in > j->executed_in)
        broken(o, "job %s is charged for %llu tokens, %llu were used", id,
               (unsigned long long)now->total_in, (unsigned long long)j->executed_in);
    if (now->has_best && !now->best.gates)
        broken(o, "job %s: the gates of its best do not hold", id);
    if (was->has_best && !was->stale && !now->stale && was->comments == now->comments &&
        (!now->has_best || compare(&now->best, &was->best) < 0))
        broken(o, "job %s: its best became worse", id);
    if (was->run == now->run && now->round > was->round &&
        was->tokens_in + was->tokens_out >= was->budget_tokens)
        broken(o, "job %s: another round after all tokens were spent", id);
    if (was->hold && was->state == S_WAITING && now->run == was->run &&
        (now->state == S_QUEUED || now->state == S_RUNNING) && o->now_ms - j->resumed_ms > 2000)
        broken(o, "job %s is paused and goes on after an answer", id);
    if (was->hold && !now->hold && now->run == was->run && now->state != S_PAUSED &&
        kinds[now->state] == OPEN && o->now_ms - j->resumed_ms > 2000)
        broken(o, "job %s is paused and goes on", id);
    if (was->state == S_DELAYED && (now->state == S_QUEUED || now->state == S_RUNNING) &&
        was->fence.counter == 0 && now->run == 1 && now->updated_ms < now->start_ms)
        broken(o, "job %s was queued before its start", id);
    judge_run(o, j, now);
    if (kinds[was->state] == ENDED)
        judge_ended(o, j, now);
    if (kinds[now->state] == ENDED && (kinds[was->state] != ENDED || now->run != was->run))
        judge_end(o, j, now);
}

static void touch(struct oracle *o, struct job *j)
{
    if (j->at_commit == o->commits + 1)
        return;
    o->touched = more(o->touched, o->touched_n, &o->touched_cap, sizeof *o->touched);
    o->touched[o->touched_n++] = (uint32_t)(j - o->jobs);
    j->at_commit = o->commits + 1;
    j->before = j->r;
    j->granted = false;
}

static void forget_steps(struct oracle *o, uint64_t job)
{
    size_t n = 0;
    for (size_t i = 0; i < o->steps_n; i++) {
        if (o->steps[i].job != job)
            o->steps[n++] = o->steps[i];
    }
    o->steps_n = n;
}

static void cell_record(struct oracle *o, uint64_t id, struct str bytes)
{
    struct record now = { 0 };
    struct str project;
    uint64_t said;
    char text[16];
    id_text(id, text);
    struct job *j = job_of(o, id, true);
    if (!o->loading)
        touch(o, j);
    if (!bytes.p) {
        if (kinds[j->r.state] != ENDED)
            broken(o, "job %s was removed before it had ended", text);
        j->exists = j->submitted = false;
        j->gap_commit = j->told_commit = 0; /* what has its key next begins anew */
        forget_steps(o, id);
        j->r = (struct record){ 0 };
        return;
    }
    if (!read_record(bytes, &now, &said, &project) || said != id)
        broken(o, "the record of job %s cannot be read", text);
    if (j->exists)
        judge_change(o, j, &now);
    else if (!o->loading && now.version != 1)
        broken(o, "job %s begins with version %llu", text, (unsigned long long)now.version);
    if (!j->exists || !same_position(&now, &j->r)) {
        j->fails = j->permanents = j->given_back = j->grants = 0;
        j->blur = false;
    }
    bool fresh = now.phase == 2 && !fence_eq(now.fence, j->r.fence);
    j->granted = j->granted || fresh;
    j->grant_commit = fresh ? o->commits + 1 : j->grant_commit;
    if (o->loading) {
        j->told = now.state;
        j->dry_known = false;
    } else if (!j->exists) {
        j->dry = 0;
        j->dry_known = true;
    }
    j->exists = true;
    j->project = (uint32_t)(project.n ? project.p[project.n - 1] - '0' : 0) % PROJECTS;
    j->r = now;
    o->n.records++;
}

/* ---- documents ---------------------------------------------------------------------------- */

/* Each result is made of what its stage was given: drafts of a lost past are not reviewed. */
static void judge_made_of(struct oracle *o, const struct job *j, const char *field, struct str v)
{
    unsigned run, round;
    char name[32], id[16];
    uint64_t want = 0;
    const char *in = v.p ? memmem(v.p, v.n, " in ", 4) : NULL;
    if (sscanf(field, "%u/%u/%31s", &run, &round, name) != 3 || run == 0 || !in)
        return;
    if (strcmp(name, "brief") == 0) {
        want = oracle_digest(0, field_of(o, j->id, "0/0/problem"));
    } else if (strcmp(name, "insights") == 0) {
        want = oracle_digest(0, field_of(o, j->id, "%u/1/brief", run));
    } else if (strcmp(name, "draft") == 0) {
        want = oracle_digest(0, field_of(o, j->id, "%u/1/brief", run));
        want = oracle_digest(want, field_of(o, j->id, "%u/%u/insights", run, round));
    } else if (strcmp(name, "review") == 0) {
        want = oracle_digest(0, field_of(o, j->id, "%u/%u/draft", run, round));
    } else {
        return;
    }
    char hex[17] = "";
    memcpy(hex, in + 4, 16);
    if (strtoull(hex, NULL, 16) != want)
        broken(o, "job %s: %s was not made of what the job has", name_of(j, id), field);
}

static void cell_doc(struct oracle *o, uint64_t id, const char *field, struct str v)
{
    struct job *j = job_of(o, id, true);
    char text[16];
    unsigned run, round;
    if (field[0] < '1' || field[0] > '9' || sscanf(field, "%u/%u/", &run, &round) != 2)
        return;
    uint64_t *first = slot(&o->once, digest(str_of(field)) ^ id);
    if (!v.p || o->loading) {
        *first = v.p ? digest(v) : 0; /* removed with its job */
    } else {
        uint64_t now = digest(v);
        if (*first && *first != now)
            broken(o, "job %s: %s was committed twice", name_of(j, text), field);
        *first = now;
        if (j->exists && kinds[j->r.state] == ENDED && j->r.run >= run)
            broken(o, "job %s: %s was written after the run had ended", name_of(j, text), field);
        judge_made_of(o, j, field, v);
        o->n.committed++;
    }
}

static enum state state_named(struct str name)
{
    static const char *const names[S_COUNT] = {
#define X(id, name, kind, meaning) [S_##id] = name,
#include "schemas/states.def"
#undef X
    };
    int i = 0;
    while (i < S_COUNT && !str_is(name, names[i]))
        i++;
    return (enum state)i;
}

/* [kind, job, project, at_ms, {from, to, …}]: those of a job's states are without a gap. */
static void cell_event(struct oracle *o, struct str bytes)
{
    struct reader r = { .bad = false };
    mp_init(&r.in, bytes);
    pass(&r, 1);
    struct str kind = value(&r).str;
    struct job *j = job_named(o, value(&r).str);
    if (!str_is(kind, "job.state"))
        return;
    pass(&r, 2 + 2);
    enum state from = state_named(value(&r).str);
    pass(&r, 1);
    enum state to = state_named(value(&r).str);
    if (r.bad || from == S_COUNT || to == S_COUNT || !j)
        broken(o, "an event of a state cannot be read");
    if (j->exists && j->told_commit && from != j->told)
        j->gap_commit = o->commits + 1;
    j->told = to;
    j->told_commit = o->commits + 1;
}

static int queue_of(struct str stage, struct str project)
{
    for (int i = 0; stage.n && i < STAGES; i++) {
        if (str_is(stage, stages[i]))
            return i;
    }
    return project.n ? STAGES + (project.p[project.n - 1] - '0') % PROJECTS : -1;
}

/* {stages: [name…], projects: [name…]} */
static void cell_halts(struct oracle *o, struct str bytes)
{
    struct reader r = { .bad = false };
    struct str none = { 0 };
    mp_init(&r.in, bytes);
    o->halted = 0;
    pass(&r, 2);
    for (uint32_t n = value(&r).n; n && !r.bad; n--)
        o->halted |= 1u << queue_of(value(&r).str, none);
    pass(&r, 1);
    for (uint32_t n = value(&r).n; n && !r.bad; n--)
        o->halted |= 1u << queue_of(none, value(&r).str);
    if (r.bad)
        broken(o, "the record of what is paused cannot be read");
}

static void cell_index(struct oracle *o, const char *index, const char *id, bool in)
{
    static const char *const names[] = { "all", "open", "ended", "waiting", "delayed", "failed" };
    uint64_t number_;
    if (!id_parse(str_of(id), &number_))
        return;
    struct job *j = job_of(o, number_, true);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(names[i], index) == 0)
            j->indexes = in ? j->indexes | 1u << i : j->indexes & ~(1u << i);
    }
}

void oracle_cell(struct oracle *o, const char *key, const char *field, struct str v)
{
    uint64_t id;
    o->written++;
    if ((key[0] == 'j' || key[0] == 'd') && key[1] == ':' && id_parse(str_of(key + 2), &id)) {
        if (key[0] == 'j')
            cell_record(o, id, v);
        else
            cell_doc(o, id, field, v);
    } else if (strcmp(key, "pipelines") == 0 && strspn(field, "0") == 16 && v.p) {
        cell_halts(o, v);
    } else if (strcmp(key, "e") == 0 && v.p && !o->loading) {
        cell_event(o, v);
    } else if (key[0] == 'x' && key[1] == ':') {
        cell_index(o, key + 2, field, v.p != NULL);
    }
}

/* ---- after a commit ----------------------------------------------------------------------- */

static void judge_indexes(struct oracle *o, const struct job *j)
{
    char id[16];
    enum state s = j->r.state;
    uint32_t want = !j->exists ? 0
                               : 1u | (kinds[s] == ENDED ? 4u : 2u) | (s == S_WAITING ? 8u : 0) |
                                     (s == S_DELAYED ? 16u : 0) | (s == S_FAILED ? 32u : 0);
    if (j->indexes != want)
        broken(o, "job %s is listed in %x, not in %x", name_of(j, id), j->indexes, want);
}

static bool waited(const struct oracle *o, const struct job *q, uint64_t stage)
{
    return q->exists && q->r.state == S_QUEUED && q->r.stage == stage &&
           q->at_commit != o->commits; /* queued before this commit and after it */
}

static bool first_of(const struct record *a, const struct record *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->run != b->run)
        return a->run > b->run;
    return a->round != b->round ? a->round > b->round : a->age < b->age;
}

/* How many main tasks are with workers: before this commit or after it, whichever is more; and
 * after it without those that came back to their workers in it. */
struct held {
    uint32_t project[PROJECTS], stage[STAGES]; /* after it … */
    uint32_t most[PROJECTS], before[PROJECTS];
};

static void count_held(const struct oracle *o, struct held *h)
{
    memset(h, 0, sizeof *h);
    for (uint32_t i = 0; i < o->jobs_n; i++) {
        const struct job *q = &o->jobs[i];
        bool here = q->exists && q->r.phase == 2, touched = q->at_commit == o->commits;
        bool was = touched ? q->before.phase == 2 : here;
        bool back = here && touched && !was && !q->granted;
        h->most[q->project] += here;
        h->before[q->project] += was;
        h->project[q->project] += here && !back;
        if (q->r.stage < STAGES)
            h->stage[q->r.stage] += here && !back;
    }
    for (int p = 0; p < PROJECTS; p++)
        h->most[p] = h->before[p] > h->most[p] ? h->before[p] : h->most[p];
}

static bool at_limit(const struct oracle *o, const struct held *h, uint32_t project)
{
    if ((o->halted | o->halted_before) >> (STAGES + project) & 1)
        return true;
    uint32_t limit = o->conf.rules.limit[project];
    return limit && h->most[project] >= limit;
}

/* Before this commit and after it, and all the while: a resume and a pause may share a turn. */
static bool still_halted(const struct oracle *o, uint32_t queue)
{
    return (o->halted & o->halted_before) >> queue & 1 &&
           o->now_ms - o->resumed_ms[queue] > SETTLED_MS;
}

static void judge_limits(struct oracle *o, const struct job *j, const struct held *h)
{
    const struct oracle_rules *r = &o->conf.rules;
    char id[16];
    if (still_halted(o, STAGES + j->project))
        broken(o, "job %s was given to a worker while its project is paused", name_of(j, id));
    if (j->r.stage < STAGES && still_halted(o, (uint32_t)j->r.stage))
        broken(o, "job %s was given to a worker while its stage is paused", name_of(j, id));
    if (r->limit[j->project] && h->project[j->project] > r->limit[j->project])
        broken(o, "job %s was given to a worker beyond the limit of its project", name_of(j, id));
    if (j->r.stage < STAGES && r->stage_limit[j->r.stage] &&
        h->stage[j->r.stage] > r->stage_limit[j->r.stage])
        broken(o, "job %s was given to a worker beyond the limit of its stage", name_of(j, id));
}

/* Every project has its share: of one that waits and has weight 1, another one of weight w is not
 * served more than w + 3 times: once each time its turn comes, and where two turns meet. */
static void judge_turns(struct oracle *o, const struct job *j, const bool waiting[PROJECTS])
{
    const uint32_t *weight = o->conf.rules.weight;
    uint64_t stage = j->before.stage;
    for (uint32_t p = 0; p < PROJECTS; p++) {
        uint32_t most = (weight[j->project] + weight[p] - 1) / weight[p] + 2;
        if (p == j->project || !waiting[p])
            memset(o->skipped[stage][p], 0, sizeof o->skipped[stage][p]);
        else if (++o->skipped[stage][p][j->project] > most)
            broken(o, "project %u waits while project %u has its turn again and again", p,
                   j->project);
    }
}

/* In a project: priority, then what is furthest, then age. Classes go before all of that. */
static void judge_order(struct oracle *o, const struct job *j, const struct held *h)
{
    uint64_t stage = j->before.stage;
    char a[16], b[16];
    bool waiting[PROJECTS] = { false };
    for (uint32_t s = 0; s < STAGES; s++)
        memset(o->skipped[s][j->project], 0, sizeof o->skipped[0][0]);
    if (o->conf.rules.affinity_ms || j->before.state != S_QUEUED || stage >= STAGES || !same_position(&j->r, &j->before))
        return;
    for (uint32_t i = 0; i < o->jobs_n; i++) {
        const struct job *q = &o->jobs[i];
        if (!waited(o, q, stage) || at_limit(o, h, q->project) || q->r.klass > j->r.klass)
            continue;
        if (q->r.klass < j->r.klass)
            broken(o, "job %s was given to a worker before job %s of a higher class",
                   name_of(j, a), name_of(q, b));
        waiting[q->project] = true;
        if (q->project == j->project && first_of(&q->r, &j->before))
            broken(o, "job %s was given to a worker before job %s of its project", name_of(j, a),
                   name_of(q, b));
    }
    judge_turns(o, j, waiting);
}

/* A change of state and its event are one commit. */
static void judge_told(const struct oracle *o, const struct job *j)
{
    char id[16];
    bool changed = !j->before.version || j->before.state != j->r.state;
    if (j->gap_commit == o->commits)
        broken(o, "job %s: an event before this one is missing", name_of(j, id));
    if (j->exists && changed && (j->told_commit != o->commits || j->told != j->r.state))
        broken(o, "job %s changed its state and no event says so", name_of(j, id));
}

void oracle_committed(struct oracle *o, uint64_t incarnation, uint64_t turn)
{
    if (turn != o->turn + 1)
        broken(o, "turn %llu was taken after turn %llu", (unsigned long long)turn,
               (unsigned long long)o->turn);
    o->turn = turn;
    if (o->leader != incarnation)
        broken(o, "a broker that does not lead has written");
    o->commits++;
    o->n.commits++;
    struct held held = { 0 };
    bool counted = false;
    for (size_t i = 0; i < o->touched_n; i++) {
        const struct job *j = &o->jobs[o->touched[i]];
        judge_indexes(o, j);
        judge_told(o, j);
        if (j->before.state == S_QUEUED && j->before.stage < STAGES &&
            (j->r.state != S_QUEUED || !same_position(&j->r, &j->before)))
            memset(o->skipped[j->before.stage][j->project], 0, sizeof o->skipped[0][0]);
        if (!j->granted || !j->before.version)
            continue;
        if (!counted)
            count_held(o, &held);
        counted = true;
        judge_limits(o, j, &held);
        judge_order(o, j, &held);
    }
    o->touched_n = 0;
    o->written = 0;
    o->halted_before = o->halted;
}

void oracle_refused(struct oracle *o)
{
    if (o->touched_n || o->written)
        broken(o, "a batch that was refused has been written in part");
}

void oracle_restart(struct oracle *o)
{
    for (uint32_t i = 0; i < o->jobs_n; i++)
        o->jobs[i].blur = true;
    for (size_t i = 0; i < o->leases_n; i++) {
        o->leases[i].over = true;
        o->leases[i].grace_ms = 0;
    }
    memset(o->skipped, 0, sizeof o->skipped);
    memset(o->rated_n, 0, sizeof o->rated_n);
}

void oracle_led(struct oracle *o, uint64_t incarnation, int64_t at_ms)
{
    o->replaced[o->replaced_n].incarnation = o->leader;
    o->replaced[o->replaced_n].at_ms = at_ms;
    o->replaced_n = (o->replaced_n + 1) % DEPOSED;
    o->leader = incarnation;
    o->turn = 0;
    oracle_restart(o);
    for (size_t i = 0; i < o->leases_n; i++) {
        struct lease *l = &o->leases[i];
        const struct job *j = job_of(o, l->job, false);
        if (j && j->exists && j->r.phase == 2 && fence_eq(j->r.fence, l->fence))
            l->grace_ms = o->now_ms + SILENCE_MS - NEAR_MS;
    }
}

void oracle_deposed(struct oracle *o, uint64_t incarnation)
{
    o->deposed[o->deposed_n++ % DEPOSED] = incarnation;
}

void oracle_before_reload(struct oracle *o)
{
    o->loading = true;
    o->fell++;
    o->steps_n = o->leases_n = 0;
    o->halted = 0;
    if (o->once.cap > 0) {
        memset(o->once.keys, 0, o->once.cap * sizeof *o->once.keys);
        memset(o->once.values, 0, o->once.cap * sizeof *o->once.values);
    }
    o->once.n = 0;
    for (uint32_t i = 0; i < o->jobs_n; i++) {
        struct job *j = &o->jobs[i];
        *j = (struct job){ .id = j->id, .executed_in = j->executed_in, .blur = true };
    }
    o->requests_n = o->results_n = 0;
    memset(o->requests, 0, sizeof o->requests);
    memset(o->results, 0, sizeof o->results);
}

void oracle_reloaded(struct oracle *o)
{
    o->loading = false;
    o->halted_before = o->halted;
    o->touched_n = 0;
    o->written = 0;
    oracle_restart(o);
}

/* ---- what the broker reads ---------------------------------------------------------------- */

static struct lease *lease_of(struct oracle *o, uint64_t key)
{
    for (size_t i = 0; i < o->leases_n; i++) {
        if (o->leases[i].key == key)
            return &o->leases[i];
    }
    return NULL;
}

static void lease_over(struct oracle *o, struct str task)
{
    struct lease *l = lease_of(o, digest(task));
    if (l)
        l->over = l->ended = true;
}

static void heard_holds(struct oracle *o, uint64_t peer, const struct task_list *list, int64_t at)
{
    struct task_ref ref;
    size_t i = 0;
    while (msg_task_next(list, &i, &ref)) {
        struct lease *l = lease_of(o, digest(ref.task));
        if (l && fence_eq(l->fence, ref.fence) && l->peer == peer)
            l->beat_ms = at;
        if (l && fence_eq(l->fence, ref.fence) && l->grace_ms) /* it is held on from elsewhere */
            l->grace_ms = 0;
    }
}

static struct credit *credit_of(struct oracle *o, uint64_t peer)
{
    for (uint32_t i = 0; i < PEERS; i++) {
        if (o->credits[i].peer == peer)
            return &o->credits[i];
    }
    return NULL;
}

static void heard_hello(struct oracle *o, uint64_t peer)
{
    struct credit *c = credit_of(o, peer);
    if (!c) {
        c = &o->credits[o->credits_n++ % PEERS];
        *c = (struct credit){ .peer = peer };
    }
    c->hellos++;
}

static void heard_ready(struct oracle *o, uint64_t peer, const struct msg_READY *m)
{
    struct credit *c = credit_of(o, peer);
    if (!c)
        return;
    c->credit[c->n % READIES] = m->credit;
    c->seen[c->n++ % READIES] = m->seen;
}

/* Some READY allowed for it. */
static void judge_credit(struct oracle *o, uint64_t peer, const struct msg_TASK *m)
{
    struct credit *c = credit_of(o, peer);
    if (!c || c->hellos > 1)
        return;
    c->said[c->said_n++ % SAID] = m->seq;
    for (uint32_t i = 0; i < READIES && i < c->n; i++) {
        uint64_t since = 0;
        for (uint32_t k = 0; k < SAID && k < c->said_n; k++)
            since += c->said[k] > c->seen[i];
        if (since <= c->credit[i])
            return;
    }
    broken(o, "a worker was given task %.*s beyond its credit", STR_ARG(m->task));
}

/* A worker that lives and does not name a lease has lost it. */
static void judge_unnamed(struct oracle *o, uint64_t peer, int64_t at_ms)
{
    char id[16];
    for (size_t i = 0; i < o->leases_n; i++) {
        const struct lease *l = &o->leases[i];
        const struct job *j = l->peer == peer && !l->over ? job_of(o, l->job, false) : NULL;
        if (j && j->exists && j->r.phase == 2 && fence_eq(j->r.fence, l->fence) &&
            at_ms - l->beat_ms > 3 * SILENCE_MS)
            broken(o, "a lease of job %s is kept by a worker that does not name it",
                   name_of(j, id));
    }
}

/* The job of a task key, if the key is its position now. */
static struct job *at_position(struct oracle *o, struct str task, struct task_key *k)
{
    struct job *j = task_key_parse(task, k) ? job_of(o, k->job, false) : NULL;
    if (!j || !j->exists || k->run != j->r.run || k->round != j->r.round || j->r.stage >= STAGES ||
        !str_is(k->stage, stages[j->r.stage]))
        return NULL;
    return j;
}

static void heard_end(struct oracle *o, struct str task, struct str fault)
{
    struct task_key k;
    struct job *j = at_position(o, task, &k);
    lease_over(o, task);
    if (!j)
        return;
    j->permanents += str_is(fault, "permanent");
    j->fails += !str_is(fault, "overloaded") && !str_is(fault, "cancelled");
    j->given_back += str_is(fault, "overloaded") || str_is(fault, "cancelled");
}

static void keep_request(struct oracle *o, uint64_t peer, const struct msg *m, struct str job,
                         struct str text)
{
    struct request *r = &o->requests[o->requests_n++ % RING];
    struct job *j = job_named(o, job);
    *r = (struct request){ .peer = peer, .req = m->PING.req, .type = m->type };
    snprintf(r->job, sizeof r->job, "%.*s", STR_ARG(job));
    snprintf(r->text, sizeof r->text, "%.*s", STR_ARG(text));
    r->run = j ? j->r.run : 0;
    if (m->type == MSG_PAUSE) {
        r->hold = m->PAUSE.hold;
        r->pauses = j ? ++j->pauses : 0;
        r->queue = queue_of(m->PAUSE.stage, m->PAUSE.project);
        if (r->queue >= 0)
            r->pauses = ++o->switches[r->queue];
        if (r->queue >= 0 && !r->hold)
            o->resumed_ms[r->queue] = o->now_ms;
        if (j && !m->PAUSE.hold)
            j->resumed_ms = o->now_ms;
    }
}

static void heard_request(struct oracle *o, uint64_t peer, const struct msg *m,
                          const struct str *frames, uint32_t n)
{
    struct str none = { 0 };
    if (m->type == MSG_SUBMIT) {
        keep_request(o, peer, m, none, m->SUBMIT.key);
        o->requests[(o->requests_n - 1) % RING].doc = n ? digest(frames[0]) : 0;
    } else if (m->type == MSG_PUT) {
        struct hash h;
        memcpy(h.b, m->PUT.hash.p, m->PUT.hash.n == HASH_BYTES ? HASH_BYTES : 0);
        keep_request(o, peer, m, none, none);
        hash_hex(&h, o->requests[(o->requests_n - 1) % RING].hash);
    } else if (m->type == MSG_CANCEL) {
        keep_request(o, peer, m, m->CANCEL.job, none);
    } else if (m->type == MSG_RETRY) {
        keep_request(o, peer, m, m->RETRY.job, none);
    } else if (m->type == MSG_PAUSE) {
        keep_request(o, peer, m, m->PAUSE.job, none);
    } else if (m->type == MSG_COMMENT) {
        keep_request(o, peer, m, m->COMMENT.job, m->COMMENT.text);
    } else if (m->type == MSG_ASK) {
        keep_request(o, peer, m, m->ASK.job, m->ASK.text);
    } else if (m->type == MSG_ANSWER) {
        keep_request(o, peer, m, m->ANSWER.job, m->ANSWER.text);
    }
}

void oracle_heard(struct oracle *o, uint64_t peer, const struct msg *m, const struct str *frames,
                  uint32_t n, int64_t at_ms)
{
    uint64_t *heard = slot(&o->heard, peer);
    o->now_ms = at_ms;
    if (at_ms - (int64_t)*heard > SILENCE_MS - NEAR_MS)
        oracle_peer_lost(o, peer); /* silent for so long that it was given up, perhaps */
    *heard = (uint64_t)at_ms;
    if (m->type == MSG_BEAT) {
        heard_holds(o, peer, &m->BEAT.holds, at_ms);
        judge_unnamed(o, peer, at_ms);
    } else if (m->type == MSG_HELLO) {
        heard_hello(o, peer);
        heard_holds(o, peer, &m->HELLO.holds, at_ms);
    } else if (m->type == MSG_FAIL) {
        heard_end(o, m->FAIL.task, m->FAIL.fault);
    } else if (m->type == MSG_RELEASE) {
        lease_over(o, m->RELEASE.task);
    } else if (m->type == MSG_BYE) {
        oracle_peer_lost(o, peer);
    } else if (m->type == MSG_READY) {
        heard_ready(o, peer, &m->READY);
    } else if (m->type == MSG_DONE) {
        struct task_key k;
        bool review = task_key_parse(m->DONE.task, &k) && str_is(k.stage, "review");
        struct result *r = &o->results[o->results_n++ % RING];
        *r = (struct result){ .peer = peer,
                              .key = digest(m->DONE.task),
                              .fence = m->DONE.fence,
                              .doc = n ? digest(frames[0]) : 0,
                              .malformed = review && m->DONE.verdict.n < 2 };
        lease_over(o, m->DONE.task);
        if (r->malformed)
            heard_end(o, m->DONE.task, (struct str){ 0 });
    } else if (m->type >= MSG_SUBMIT) {
        heard_request(o, peer, m, frames, n);
    }
}

void oracle_peer_lost(struct oracle *o, uint64_t peer)
{
    for (size_t i = 0; i < o->leases_n; i++)
        o->leases[i].over = o->leases[i].over || o->leases[i].peer == peer;
}

void oracle_executed(struct oracle *o, struct str task, uint64_t tokens_in, uint64_t tokens_out)
{
    struct task_key k;
    (void)tokens_out;
    if (task_key_parse(task, &k))
        job_of(o, k.job, true)->executed_in += tokens_in;
}

/* ---- what the broker says ----------------------------------------------------------------- */

static bool living(struct oracle *o, const struct lease *l, int64_t at_ms)
{
    int64_t heard = (int64_t)*slot(&o->heard, l->peer);
    return !l->over && at_ms - heard < SILENCE_MS - NEAR_MS &&
           at_ms - l->beat_ms < SILENCE_MS - NEAR_MS && at_ms - l->since_ms < l->total_ms - NEAR_MS;
}

void oracle_stalled(struct oracle *o, uint64_t incarnation, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < o->leases_n && o->leader == incarnation; i++) {
        struct lease *l = &o->leases[i];
        uint64_t *heard = slot(&o->heard, l->peer);
        if (to_ms - from_ms < STALL_MS || !living(o, l, from_ms))
            continue;
        if (l->beat_ms + SILENCE_MS <= to_ms || (int64_t)*heard + SILENCE_MS <= to_ms) {
            l->beat_ms = to_ms;
            *heard = (uint64_t)to_ms;
        }
    }
}

static void said_task_docs(struct oracle *o, const struct msg_TASK *m, const struct job *j,
                           const struct task_key *k, const struct str *frames, uint32_t n)
{
    uint64_t key = digest(m->task);
    struct str steps = { 0 };
    bool problem = false, brief = false, draft = false;
    for (uint32_t i = 0; i < m->docs.n && i < n; i++) {
        if (str_is(m->docs.v[i], "steps"))
            steps = frames[i];
        problem = problem || (str_is(m->docs.v[i], "problem") && frames[i].n > 2);
        brief = brief || (str_is(m->docs.v[i], "brief") && frames[i].n > 2);
        draft = draft || (str_is(m->docs.v[i], "draft") && frames[i].n > 2);
    }
    if ((str_is(k->stage, "parse") && !problem) || (str_is(k->stage, "analyze") && !brief) ||
        (str_is(k->stage, "review") && !draft))
        broken(o, "task %.*s was given without what it works on", STR_ARG(m->task));
    /* What a slow worker adds after the task was given to another one comes too late. */
    bool known = fence_eq(j->r.fence, m->fence);
    for (size_t i = 0; known && i < o->steps_n; i++) {
        char hex[HASH_HEX + 1];
        if (o->steps[i].key != key || o->steps[i].at >= j->grant_commit)
            continue;
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)o->steps[i].hash);
        if (!holds_text(steps, hex))
            broken(o, "task %.*s was given without the acknowledged call %s", STR_ARG(m->task),
                   hex);
    }
}

static void judge_rate(struct oracle *o, const struct msg_TASK *m, int64_t at_ms)
{
    for (uint32_t s = 0; s < STAGES; s++) {
        uint32_t rate = o->conf.rules.stage_rate[s];
        if (rate == 0 || !str_is(m->stage, stages[s]))
            continue;
        int64_t *then = &o->rated[s][o->rated_n[s]++ % TASKS_RATED];
        if (o->rated_n[s] > TASKS_RATED &&
            TASKS_RATED > 1 + (at_ms - *then + RATE_SLACK_MS) * rate / 60000)
            broken(o, "stage %s is given more tasks than its rate allows", stages[s]);
        *then = at_ms;
    }
}

static void said_task(struct oracle *o, uint64_t peer, const struct msg_TASK *m,
                      const struct str *frames, uint32_t n, int64_t at_ms)
{
    struct task_key k;
    struct str fence = { (const char *)&m->fence, sizeof m->fence };
    uint64_t key = digest(m->task),
             mine = oracle_digest(key, (struct str){ (const char *)&peer, 8 });
    if (!task_key_parse(m->task, &k))
        broken(o, "a task has the key %.*s", STR_ARG(m->task));
    uint64_t *used = slot(&o->fences, digest(fence));
    if (*used && *used != mine)
        broken(o, "the fence %llx-%llu was given twice", (unsigned long long)m->fence.incarnation,
               (unsigned long long)m->fence.counter);
    *used = mine;
    struct job *j = job_of(o, k.job, false);
    if (!j)
        broken(o, "a task of an unknown job was given");
    judge_credit(o, peer, m);
    judge_rate(o, m, at_ms);
    struct lease *l = lease_of(o, key);
    if (l && living(o, l, at_ms) && !fence_eq(l->fence, m->fence))
        broken(o, "task %.*s was given away while its worker lives", STR_ARG(m->task));
    if (l && !l->ended && at_ms < l->grace_ms && !fence_eq(l->fence, m->fence) &&
        l->since_ms + l->total_ms > at_ms + NEAR_MS)
        broken(o, "task %.*s was given away before its worker could come back", STR_ARG(m->task));
    if (!l) {
        o->leases = more(o->leases, o->leases_n, &o->leases_cap, sizeof *o->leases);
        l = &o->leases[o->leases_n++];
    }
    *l = (struct lease){ .key = key,
                         .fence = m->fence,
                         .peer = peer,
                         .job = k.job,
                         .since_ms = at_ms,
                         .beat_ms = at_ms,
                         .total_ms = (int64_t)m->total_ms };
    if (at_position(o, m->task, &k))
        j->grants++;
    said_task_docs(o, m, j, &k, frames, n);
    o->n.tasks++;
}

static void said_stepped(struct oracle *o, const struct msg_STEPPED *m)
{
    struct task_key k;
    struct hash h;
    char hex[HASH_HEX + 1], prefix[17] = "";
    struct job *j = at_position(o, m->task, &k);
    if (!j || kinds[j->r.state] == ENDED || m->hash.n != HASH_BYTES)
        return;
    memcpy(h.b, m->hash.p, HASH_BYTES);
    hash_hex(&h, hex);
    memcpy(prefix, hex, 16);
    for (unsigned i = 1;; i++) {
        struct str s = field_of(o, j->id, "step/%u/%u/%.*s/%u#%u", k.run, k.round, STR_ARG(k.stage),
                                k.pass, i);
        if (!s.p)
            broken(o, "a call of %.*s was acknowledged and is not stored", STR_ARG(m->task));
        if (holds_text(s, hex))
            break;
    }
    uint64_t key = digest(m->task), hash = strtoull(prefix, NULL, 16);
    for (size_t i = 0; i < o->steps_n; i++) {
        if (o->steps[i].key == key && o->steps[i].hash == hash)
            return;
    }
    o->steps = more(o->steps, o->steps_n, &o->steps_cap, sizeof *o->steps);
    o->steps[o->steps_n++] = (struct step){ j->id, key, hash, o->commits };
}

static const struct result *result_of(const struct oracle *o, uint64_t peer, uint64_t key,
                                      struct fence fence)
{
    for (size_t i = 0; i < RING; i++) {
        const struct result *r = &o->results[i];
        if (r->key == key && r->peer == peer && fence_eq(r->fence, fence))
            return r;
    }
    return NULL;
}

static void said_taken(struct oracle *o, uint64_t peer, const struct msg_TAKEN *m)
{
    static const char *const docs[STAGES] = { "brief", "insights", "draft", "review" };
    struct task_key k;
    const struct result *r = result_of(o, peer, digest(m->task), m->fence);
    struct job *j = task_key_parse(m->task, &k) ? job_of(o, k.job, false) : NULL;
    int stage = -1;
    for (int i = 0; i < STAGES; i++)
        stage = str_is(k.stage, stages[i]) ? i : stage;
    if (!r || !j || !j->exists || stage < 0 || k.run != j->r.run)
        return;
    struct str doc = field_of(o, k.job, "%u/%u/%s", k.run, k.round, docs[stage]);
    if (str_is(m->outcome, "committed") && !r->malformed && digest(doc) != r->doc)
        broken(o, "the result of %.*s was acknowledged and is not stored", STR_ARG(m->task));
    if (str_is(m->outcome, "already") && !r->malformed && !doc.p && o->fell == 0)
        broken(o, "a result of %.*s was refused for one that does not exist", STR_ARG(m->task));
    bool refused = str_is(m->outcome, "stale") || str_is(m->outcome, "gone");
    if (refused && doc.p && digest(doc) == r->doc)
        broken(o, "the result of %.*s was committed and is denied", STR_ARG(m->task));
    if (refused && !r->malformed && at_position(o, m->task, &k) && kinds[j->r.state] == OPEN &&
        j->r.state != S_WAITING && o->fell == 0)
        broken(o, "the finished result of %.*s was thrown away", STR_ARG(m->task));
}

static const struct request *request_of(const struct oracle *o, uint64_t peer, uint64_t req)
{
    for (size_t i = 0; i < RING; i++) {
        const struct request *r = &o->requests[(o->requests_n + i) % RING]; /* oldest first */
        if (r->peer == peer && r->req == req)
            return r;
    }
    return NULL;
}

static void said_submitted(struct oracle *o, uint64_t peer, const struct msg_SUBMITTED *m)
{
    const struct request *r = request_of(o, peer, m->req);
    struct job *j = job_named(o, m->job);
    if (!j || !j->exists)
        broken(o, "job %.*s was acknowledged and is not stored", STR_ARG(m->job));
    if (!r)
        return;
    struct str problem = field_of(o, j->id, "0/0/problem");
    if (strcmp(j->r.key, r->text) != 0)
        broken(o, "job %.*s is not what was submitted", STR_ARG(m->job));
    if (digest(problem) != r->doc)
        broken(o, "the problem of job %.*s is not what was submitted", STR_ARG(m->job));
    char blob[80];
    snprintf(blob, sizeof blob, "b:%s", j->r.workspace);
    if (j->r.workspace[0] && !o->conf.look(o->conf.ctx, blob, "").p)
        broken(o, "job %.*s was taken without its workspace", STR_ARG(m->job));
    if (!m->existing && j->submitted)
        broken(o, "job %.*s was made twice", STR_ARG(m->job));
    j->submitted = true;
}

static void okay_list(struct oracle *o, const struct request *r, uint64_t id, const char *list,
                      struct str said)
{
    unsigned long no = said.n > 1 ? strtoul(said.p + 1, NULL, 10) : 0;
    char field[64], key[32] = "d:";
    snprintf(field, sizeof field, "%s%lu", list, no);
    id_text(id, key + 2);
    if (!holds_text(o->conf.look(o->conf.ctx, key, field), r->text))
        broken(o, "%s of job %s was acknowledged and is not stored", field, r->job);
}

static void said_okay(struct oracle *o, uint64_t peer, const struct msg_OKAY *m)
{
    const struct request *r = request_of(o, peer, m->req);
    struct job *j = r ? job_named(o, str_of(r->job)) : NULL;
    if (r && r->type == MSG_PUT) {
        char key[80];
        snprintf(key, sizeof key, "b:%s", r->hash);
        if (!o->conf.look(o->conf.ctx, key, "").p)
            broken(o, "the blob %s was acknowledged and is not stored", r->hash);
    }
    if (r && r->type == MSG_PAUSE && r->queue >= 0 && r->pauses == o->switches[r->queue] &&
        r->hold != (o->halted >> r->queue & 1))
        broken(o, "%s %d was to be %s and is not", r->queue < STAGES ? "stage" : "project",
               r->queue % STAGES, r->hold ? "paused" : "resumed");
    if (!j || !j->exists)
        return;
    if (r->type == MSG_CANCEL && kinds[j->r.state] != ENDED && j->r.run == r->run)
        broken(o, "job %s was cancelled and goes on", r->job);
    if (r->type == MSG_RETRY && r->run && j->r.run <= r->run && o->fell == 0)
        broken(o, "job %s was to be tried again and is not", r->job);
    if (r->type == MSG_COMMENT)
        okay_list(o, r, j->id, "comments#", m->id);
    if (r->type == MSG_ASK)
        okay_list(o, r, j->id, "ask/a", m->id);
    if (r->type == MSG_PAUSE && r->hold && r->pauses == j->pauses && j->r.run == r->run &&
        kinds[j->r.state] == OPEN && j->r.state != S_PAUSED &&
        !((j->r.state == S_RUNNING || j->r.state == S_WAITING) && j->r.hold))
        broken(o, "job %s was paused and is not", r->job);
}

static void said_drop(struct oracle *o, uint64_t peer, const struct msg_DROP *m, int64_t at_ms)
{
    struct lease *l = lease_of(o, digest(m->task));
    if (!l || !fence_eq(l->fence, m->fence) || l->peer != peer)
        return;
    struct task_key k;
    if (str_is(m->reason, "expired") && living(o, l, at_ms) && at_position(o, m->task, &k))
        broken(o, "the lease of %.*s expired while its worker lives", STR_ARG(m->task));
    l->over = true;
}

static void said_called(struct oracle *o, const struct msg_CALLED *m, const struct str *frames,
                        uint32_t n)
{
    char want[64];
    if (m->fault.n || m->call.n < 2)
        return;
    snprintf(want, sizeof want, "result call %.*s", (int)m->call.n - 1, m->call.p + 1);
    if (n != 1 || !holds_text(frames[0], want))
        broken(o, "the call %.*s of %.*s got the result of another one", STR_ARG(m->call),
               STR_ARG(m->task));
}

/* Its last word comes before its lease is over, whatever happened to it. Without a store it may
 * say that it has none. */
static void said_in_time(struct oracle *o, uint64_t incarnation, const struct msg *m, int64_t at_ms)
{
    for (uint32_t i = 0; i < DEPOSED; i++) {
        if (incarnation && o->replaced[i].incarnation == incarnation &&
            at_ms > o->replaced[i].at_ms + LEADER_LEASE_MS && m->type != MSG_REFUSED &&
            m->type != MSG_ANSWERED)
            broken(o, "a broker that was replaced %lld ms ago says %s",
                   (long long)(at_ms - o->replaced[i].at_ms), msg_name(m->type));
    }
}

void oracle_said(struct oracle *o, uint64_t incarnation, uint64_t peer, const struct msg *m,
                 const struct str *frames, uint32_t n, int64_t at_ms)
{
    if (m->epoch != incarnation && m->type != MSG_REFUSED)
        broken(o, "%s does not carry its broker's epoch", msg_name(m->type));
    o->now_ms = at_ms;
    for (uint32_t i = 0; i < DEPOSED && m->type != MSG_REFUSED; i++) {
        if (incarnation && o->deposed[i] == incarnation)
            broken(o, "a broker that knows that it was replaced says %s", msg_name(m->type));
    }
    said_in_time(o, incarnation, m, at_ms);
    if (m->type == MSG_CALLED)
        said_called(o, &m->CALLED, frames, n);
    if (incarnation != o->leader)
        return; /* it was true when its turn was made */
    if (m->type == MSG_TASK)
        said_task(o, peer, &m->TASK, frames, n, at_ms);
    else if (m->type == MSG_STEPPED)
        said_stepped(o, &m->STEPPED);
    else if (m->type == MSG_TAKEN)
        said_taken(o, peer, &m->TAKEN);
    else if (m->type == MSG_SUBMITTED)
        said_submitted(o, peer, &m->SUBMITTED);
    else if (m->type == MSG_OKAY)
        said_okay(o, peer, &m->OKAY);
    else if (m->type == MSG_DROP)
        said_drop(o, peer, &m->DROP, at_ms);
}

/* ---- progress ----------------------------------------------------------------------------- */

static bool unfinished(const struct job *j)
{
    return j->exists && (kinds[j->r.state] == OPEN || j->r.open_asks > 0);
}

uint32_t oracle_open(const struct oracle *o)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->jobs_n; i++)
        n += unfinished(&o->jobs[i]);
    return n;
}

void oracle_stuck(const struct oracle *o, char *out, size_t size)
{
    char id[16];
    snprintf(out, size, "?");
    for (uint32_t i = 0; i < o->jobs_n; i++) {
        const struct job *j = &o->jobs[i];
        if (!unfinished(j))
            continue;
        snprintf(
            out, size,
            "%u jobs; job %s in state %d at %llu/%llu/%llu, phase %llu, attempts %llu, crashes "
            "%llu, %llu asks",
            oracle_open(o), name_of(j, id), (int)j->r.state, (unsigned long long)j->r.run,
            (unsigned long long)j->r.round, (unsigned long long)j->r.stage,
            (unsigned long long)j->r.phase, (unsigned long long)j->r.attempts,
            (unsigned long long)j->r.crashes, (unsigned long long)j->r.open_asks);
        return;
    }
}

bool oracle_halted(const struct oracle *o, uint32_t queue)
{
    return o->halted >> queue & 1;
}

uint32_t oracle_jobs(const struct oracle *o)
{
    return o->jobs_n;
}

bool oracle_job_at(const struct oracle *o, uint32_t i, char id[16], bool *ended, bool *paused)
{
    const struct job *j = &o->jobs[i];
    name_of(j, id);
    *ended = kinds[j->r.state] == ENDED;
    *paused = j->r.state == S_PAUSED || j->r.hold;
    return j->exists;
}

struct oracle_counts oracle_counts(const struct oracle *o)
{
    return o->n;
}
