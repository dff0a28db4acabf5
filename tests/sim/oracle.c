/* SPDX-License-Identifier: Apache-2.0 */
/* oracle: its memory and small things, restarts and new leaders, how far the jobs are. The map of
 * its parts is in oracle_in.h. */
#include "tests/sim/oracle_in.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { OPEN, ENDED };
static const int kinds[S_COUNT] = {
#define X(id, name, kind, meaning) kind,
#include "schemas/states.def"
#undef X
};
const char *const oracle_stages[STAGES] = { "parse", "analyze", "generate", "review" };

bool state_ended(enum state s)
{
    return kinds[s] == ENDED;
}

void oracle_broken(const struct oracle *o, const char *fmt, ...)
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

uint64_t *table_slot(struct table *t, uint64_t key)
{
    if ((t->n + 1) * 2 > t->cap) {
        struct table wider = { .cap = t->cap ? t->cap * 2 : 64 };
        wider.keys = calloc(wider.cap, sizeof *wider.keys);
        wider.values = calloc(wider.cap, sizeof *wider.values);
        assert(wider.keys && wider.values);
        for (size_t i = 0; i < t->cap; i++) {
            if (t->keys[i])
                *table_slot(&wider, t->keys[i]) = t->values[i];
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

void *array_more(void *v, size_t n, size_t *cap, size_t size)
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

struct job *oracle_job(struct oracle *o, uint64_t id, bool make)
{
    uint64_t *at = table_slot(&o->by_id, id);
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

struct job *oracle_job_named(struct oracle *o, struct str text)
{
    uint64_t id;
    return id_parse(text, &id) ? oracle_job(o, id, false) : NULL;
}

/* The job of a task key, if the key is its position now. */
struct job *oracle_job_at_position(struct oracle *o, struct str task, struct task_key *k)
{
    struct job *j = task_key_parse(task, k) ? oracle_job(o, k->job, false) : NULL;
    if (!j || !j->exists || k->run != j->r.run || k->round != j->r.round || j->r.stage >= STAGES ||
        !str_is(k->stage, oracle_stages[j->r.stage]))
        return NULL;
    return j;
}

const char *job_name(const struct job *j, char out[16])
{
    id_text(j->id, out);
    return out;
}

struct str oracle_field(const struct oracle *o, uint64_t id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct str oracle_field(const struct oracle *o, uint64_t id, const char *fmt, ...)
{
    char key[32] = "d:", field[300];
    va_list args;
    id_text(id, key + 2);
    va_start(args, fmt);
    vsnprintf(field, sizeof field, fmt, args);
    va_end(args);
    return o->conf.look(o->conf.ctx, key, field);
}

bool holds_text(struct str bytes, const char *text)
{
    return bytes.p && memmem(bytes.p, bytes.n, text, strlen(text)) != NULL;
}

bool same_position(const struct record *a, const struct record *b)
{
    return a->run == b->run && a->round == b->round && a->stage == b->stage;
}

int oracle_queue(struct str stage, struct str project)
{
    for (int i = 0; stage.n && i < STAGES; i++) {
        if (str_is(stage, oracle_stages[i]))
            return i;
    }
    return project.n ? STAGES + (project.p[project.n - 1] - '0') % PROJECTS : -1;
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
        const struct job *j = oracle_job(o, l->job, false);
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
    o->open_n = o->ended_n = 0;
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
    o->removed_n = o->revived_n = 0;
    o->removed_ms = 0;
    o->written = 0;
    oracle_restart(o);
}

void oracle_wall(struct oracle *o, int64_t wall_ms)
{
    o->wall_ms = wall_ms > o->wall_ms ? wall_ms : o->wall_ms;
}

void oracle_executed(struct oracle *o, struct str task, uint64_t tokens_in, uint64_t tokens_out)
{
    struct task_key k;
    (void)tokens_out;
    if (task_key_parse(task, &k))
        oracle_job(o, k.job, true)->executed_in += tokens_in;
}

static bool unfinished(const struct job *j)
{
    return j->exists && (!state_ended(j->r.state) || j->r.open_asks > 0);
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
            oracle_open(o), job_name(j, id), (int)j->r.state, (unsigned long long)j->r.run,
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
    job_name(j, id);
    *ended = state_ended(j->r.state);
    *paused = j->r.state == S_PAUSED || j->r.hold;
    return j->exists;
}

struct oracle_counts oracle_counts(const struct oracle *o)
{
    return o->n;
}
